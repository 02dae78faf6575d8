package setting_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"imgbuild/images/peertest"
)

// mainCfs are forms of main.cf, good ones and bad ones; more are drawn.
func mainCfs() []string {
	list := []string{
		"mail_name\n", "mail_name b\n", "= b\n", "a b = c\n", "mail_name = $mail_name\n", "mail_name = ${\n", "mail_name = $\n", "mail_name = a$$b\n", "mail_name = a # b\n",
		"relayhost = $recipient_delimiter\nrecipient_delimiter = $relayhost\nmail_name = $relayhost\n", "mail_name = {a b}\n", "x=a=b\nmail_name = $x\n", "mail_name = ${x.y}\n",
		"#", "mail_name = a\n\r\n b", "garbage\nmail_name = a\n", "mail_name = a\ngarbage\n", "mail_name = $ x\n", "x=1\nmail_name = ($x)\n",
		"x=1\nmail_name = $x$(x)${x}-$x\n", "mail_name = a\n#b\n\n\tc\n#d\n",
	}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		b := strings.Builder{}
		b.WriteString("relayhost = 1\nrecipient_delimiter = 2\n")
		for range 1 + r.IntN(7) {
			key, value := pick(r, "mail_name", "mail_name", "relayhost", "recipient_delimiter"), pick(r, "a", "b c", "$relayhost", "${recipient_delimiter}d", "$(relayhost) $recipient_delimiter", "", "#e", "a$$")
			fmt.Fprintf(&b, pick(r, "%s = %s\n", "%s=%s\n", "%s\t= %s \r\n", "# %s = %s\n", "  #%s %s\n", "%s = f\n  %s\n", "%s = f\n# g\n\n\t%s\n", "%s = %s\n \n"), key, value)
		}
		list = append(list, b.String())
	}
	return list
}

// TestMainCfIsReadAsPostconfReadsIt asks postconf for the value that postfix
// would use. One thing is stricter here: a first line that goes on with none is
// passed over by postfix with a warning.
func TestMainCfIsReadAsPostconfReadsIt(t *testing.T) {
	tree := peertest.Unpack(t, "postfix")
	prepare := func(text string) string {
		dir := t.TempDir()
		peertest.Write(t, dir, "master.cf", "")
		peertest.Write(t, dir, "main.cf", text)
		// Of a file that was just written postfix waits for more.
		if err := os.Chtimes(filepath.Join(dir, "main.cf"), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	ask := func(dir string) (string, error) {
		// All that other values stand for is asked for, so that it is looked at.
		cmd := tree.Command("usr/sbin/postconf", "-c", dir, "-x", "-h", "mail_name", "relayhost", "recipient_delimiter")
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+tree.Path("usr/lib/postfix"))
		out, err := cmd.Output()
		first, _, _ := strings.Cut(string(out), "\n")
		return first, err
	}
	if _, err := ask(prepare("mail_name = x\n")); err != nil {
		t.Skipf("postconf does not run here: %v", err)
	}
	texts := mainCfs()
	type answer struct {
		text string
		err  error
	}
	answers := make([]answer, len(texts))
	var all sync.WaitGroup
	slots := make(chan struct{}, 16) // postconf sleeps for a second when it fails
	for i, text := range texts {
		dir := prepare(text)
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i].text, answers[i].err = ask(dir)
		})
	}
	all.Wait()
	r := newSetting(t, "path: /etc/postfix/main.cf, format: equals, key: mail_name, value: "+unlikely)
	for i, text := range texts {
		want, peer := answers[i].text, answers[i].err
		list, own := r.Check(t.Context(), memory(t, map[string]string{"/etc/postfix/main.cf": text}))
		if (own != nil) != (peer != nil) {
			t.Errorf("%q: %v, postconf %v", text, own, peer)
			continue
		}
		if peer != nil {
			continue
		}
		got := list[0].Have
		switch {
		case got == "not set" && want == "Postfix", got == "set without a value" && want == "": // the default
		case strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " "): // postconf folds lines
			t.Errorf("%q: %q, postconf says %q", text, got, want)
		}
	}
}
