package setting_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/system"
)

// TestChronyIsReadAsChronydReadsIt lets chronyd print what it reads: what it
// refuses is an error here, and of what both read the last user is the same.
func TestChronyIsReadAsChronydReadsIt(t *testing.T) {
	root := peertest.Root(t, []string{"chrony"}, "/usr/sbin/chronyd")
	s, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	user := newSetting(t, "path: /etc/chrony/chrony.conf, format: words, key: user, value: "+unlikely)
	// ask gives the last user that chronyd prints, and whether it refuses.
	ask := func() (string, string) {
		out, err := peertest.Command(root, "/usr/sbin/chronyd", "-p").CombinedOutput()
		if err != nil {
			return "", string(out)
		}
		last := "not set"
		for line := range strings.Lines(string(out)) {
			if fields := strings.Fields(line); strings.EqualFold(fields[0], "user") {
				last = fields[1]
			}
		}
		return last, ""
	}
	stock, err := os.ReadFile(filepath.Join(root, "usr/share/chrony/chrony.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		// rare is true of what chronyd reads and nobody can tell here.
		rare bool
	}{
		{string(stock), false}, {"user a\nUSER  b \n", false}, {"! user a\n;user b\n%x\n  # y\n", false}, {"user a # b\n", false}, {"user\n", false}, {"users a\n", false}, {"user a b\n", false},
		{"pool\n", false}, {"pool a iburst\nserver b minpoll 3 key 5\n", false}, {"pool a ibursts\n", false}, {"server a minpoll x\n", false}, {"server a version 9\n", true}, {"makestep 1 3\n", false},
		{"makestep 1\n", false}, {"maxupdateskew 100.0\n", false}, {"maxupdateskew x\n", false}, {"rtcsync yes\n", false}, {"rtcsync\n", false}, {"log tracking rtc\n", false}, {"log all\n", false},
		{"allow\n", false}, {"allow all\n", false}, {"allow 10.0.0.0/8\n", false}, {"allow 10.0.0.0/99\n", true}, {"allow 10.0.0.999\n", false}, {"cmddeny x y\n", false}, {"port 70000\n", true},
		{"port 123\n", false}, {"bindaddress 1.2.3.4\n", false}, {"bindaddress 1.2.3\n", false}, {"bindcmdaddress /run/x\n", false}, {"local stratum 10 orphan\n", false}, {"local stratum 20\n", false},
		{"leapsecmode slew\n", false}, {"leapsecmode never\n", false}, {"include /etc/nowhere\n", false}, {"include /etc/nowhere*\n", false}, {"garbage\n", false}, {"user a\\\nb\n", false}, {"user a\rb\n", false},
		{"ratelimit interval 3 burst 8\n", false}, {"ratelimit interval\n", false}, {"refclock PHC /dev/ptp0 poll 2\n", false}, {"refclock PHC\n", false}, {"sourcedir /etc/x\n", false}, {"dscp 64\n", true},
		{"user " + strings.Repeat("a", 2030) + "\n", false}, {"user " + strings.Repeat("a", 2050) + "\n", false}, {"driftfile /x interval 3600\n", true}, {"hwtimestamp *\n", true},
	} {
		peertest.Write(t, root, "/etc/chrony/chrony.conf", c.text)
		want, refused := ask()
		list, err := user.Check(t.Context(), s)
		switch {
		case refused != "" && err == nil:
			t.Errorf("%.60q is read; chronyd: %s", c.text, refused)
		case refused == "" && err != nil && !c.rare:
			t.Errorf("%.60q: %v", c.text, err)
		case err == nil && list[0].Have != want && len(want) < 200:
			t.Errorf("%.60q: chronyd has %q, here it is %q", c.text, want, list[0].Have)
		}
	}
	// In which order the files come.
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 7))
		if err := os.RemoveAll(filepath.Join(root, "etc/chrony")); err != nil {
			t.Fatal(err)
		}
		text := func(more ...string) string {
			var b strings.Builder
			for range r.IntN(4) {
				b.WriteString(pick(r, append(more, fmt.Sprintf("user u%d\n", r.IntN(100)), "# user x\n", "rtcsync\n")...))
			}
			return b.String()
		}
		for _, name := range []string{"conf.d/a.conf", "conf.d/b.conf", "conf.d/.c.conf", "conf.d/d.txt", "more.d/a.conf", "more.d/c.conf", "one.conf", "sources.d/a.sources"} {
			if r.IntN(3) > 0 {
				peertest.Write(t, root, "/etc/chrony/"+name, text())
			}
		}
		peertest.Write(t, root, "/etc/chrony/chrony.conf", text("confdir /etc/chrony/conf.d\n", "confdir /etc/chrony/more.d /etc/chrony/conf.d\n", "include /etc/chrony/o*.conf\n", "sourcedir /etc/chrony/sources.d\n"))
		want, refused := ask()
		list, err := user.Check(t.Context(), s)
		if err != nil && refused == "" {
			if !strings.Contains(err.Error(), "included twice") {
				t.Errorf("seed %d: %v", seed, err)
			}
			continue
		}
		if refused != "" || list[0].Have != want {
			t.Errorf("seed %d: chronyd has %q%s, here it is %v", seed, want, refused, list)
			continue
		}
		if _, err := user.Apply(t.Context(), s); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if got, refused := ask(); got != unlikely {
			t.Errorf("seed %d: after it was applied chronyd has %q: %s", seed, got, refused)
		}
	}
}
