package apparmor_test

import (
	"context"
	"maps"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/apparmor"
	"imgbuild/provisioners/system"
)

func decode(t *testing.T, settings string) *apparmor.Enforced {
	t.Helper()
	n, err := node.Parse("test.yaml", nil, "test.yaml", []byte("enforced: "+settings))
	if err != nil {
		t.Fatal(err)
	}
	r, err := apparmor.New(n.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// memory makes files below /etc/apparmor.d, or elsewhere by an absolute name;
// "-> x" makes a link.
func memory(t *testing.T, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		full := name
		if !path.IsAbs(name) {
			full = path.Join("/etc/apparmor.d", name)
		}
		if err := system.MkdirAll(s, path.Dir(full)); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = s.Symlink(target, full)
		} else {
			err = s.WriteFile(full, strings.NewReader(text), system.Attr{Mode: 0o644})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

const everything = `# a comment { with a brace
abi <abi/3.0>,
#include <tunables/global>
include if exists <local/x>
@{DIRS}=/usr/{bin,sbin} "/opt/a b" \
  /srv
@{DIRS} += /usr/local
alias /a -> /b,

/usr/sbin/plain flags=(complain) {
  capability net_raw,
  @{DIRS}/tool{,-x}/** rw,
  "/path with/{blank,}" r, # a comment }
  unix (send, receive) type=stream peer=(addr="@x{", label=un{,confined}),
  owner {
    /home/** r,
  }
  if ${on} { /x r, } else { /y r, }
  ^hat flags=( complain attach_disconnected ) {
  }
  profile child /bin/child { /bin/child mr, }
  hat other (complain) { }
}
profile named @{DIRS}/named xattrs=(user.x=y) flags = (attach_disconnected, complain, mediate_deleted) {
}
profile "a b" { }
profile free /bin/free flags=(unconfined) { userns, }
profile killed flags=(kill) {}
`

func TestHeaders(t *testing.T) {
	list, variables, err := apparmor.Parse(everything)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range list {
		got = append(got, strings.Join([]string{p.Name, p.Attachment, p.Mode()}, " | "))
	}
	want := []string{
		"/usr/sbin/plain | /usr/sbin/plain | complain", "/usr/sbin/plain//hat |  | complain", "/usr/sbin/plain//child |  | enforce", "/usr/sbin/plain//other |  | complain",
		"named | @{DIRS}/named | complain", "a b |  | enforce", "free | /bin/free | unconfined", "killed |  | enforce",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(apparmor.Variables{"@{DIRS}": {"/usr/{bin,sbin}", "/opt/a b", "/srv", "/usr/local"}}, variables); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatIsNoProfileIsAnError(t *testing.T) {
	for _, text := range []string{
		"/a {", "/a { } }", "/a { /b r }", "/a \"b {", "/a flags=(complain {", "nonsense { }", "{ }", "/a flags=(complain) flags=(audit) { }", "/a b c d {}", "/a r",
		strings.Repeat("/a {", 40), "profile {", "/a { }\x00",
	} {
		if list, _, err := apparmor.Parse(text); err == nil {
			t.Errorf("%q: %v", text, list)
		}
	}
}

// TestPartsAreReadAsTheProfilesThatIncludeThem has profiles whose own file
// parses, and parts that do not, or are not there.
func TestPartsAreReadAsTheProfilesThatIncludeThem(t *testing.T) {
	good := map[string]string{
		"a": "include <tunables/global>\n/a {\n  include <abstractions/b>\n  #include <a.d>\n  include if exists <local/a>\n  @{X}/y r,\n}\n", "tunables/global": "include <tunables/x.d>\n",
		"tunables/x.d/x": "@{X}=/x\n", "abstractions/b": "include <abstractions/c>\n/b r,\n", "abstractions/c": "@{X}/c r,\n", "a.d/h": "/h r,\n^hat {\n}\n", "a.d/y.dpkg-new": "garbage",
		"abstractions/unused": "garbage",
	}
	for name, change := range map[string]map[string]string{
		"": nil, "a part": {"abstractions/c": "garbage\n"}, "a file of a directory": {"a.d/i": "garbage,\n"}, "a tunable": {"tunables/x.d/y": "garbage,\n"},
		"a local part": {"local/a": "/x zz,\n"}, "none there": {"a": good["a"] + "/b { include <abstractions/none> }\n"}, "a variable": {"tunables/x.d/x": "@{Y}=/y\n"},
		"a rule of the other place": {"abstractions/b": "alias /a -> /b,\n"}, "an unnamed place": {"a": "include \"tunables/global\"\n/a { }\n"},
	} {
		files := maps.Clone(good)
		maps.Copy(files, change)
		if found, err := decode(t, "{}").Check(context.Background(), memory(t, files)); (err != nil) != (name != "") {
			t.Errorf("%q: %v, %v", name, found, err)
		}
	}
}

func TestApplyTakesTheFlagAndTheLinksAway(t *testing.T) {
	ctx := context.Background()
	s := memory(t, map[string]string{
		"abi/3.0": "features", "plain": strings.ReplaceAll(everything, "profile free /bin/free flags=(unconfined) { userns, }\n", ""), "usr.bin.off": "/usr/bin/off { }\n",
		"usr.bin.soft": "/usr/bin/soft { }\n", "usr.bin.mine": "/usr/bin/mine flags=(complain) { }\n", "disable/usr.bin.off": "-> ../usr.bin.off",
		"force-complain/usr.bin.soft": "-> /etc/apparmor.d/usr.bin.soft", "disable/stale": "-> ../stale", "abstractions/base": "/x r,\n", "tunables/global": "@{HOME}=/root\n", "local/usr.bin.off": "}",
		"usr.bin.off.dpkg-old": "/usr/bin/off flags=(complain) { }\n",
	})
	r := decode(t, "{except: [/usr/bin/mine]}")
	found, err := r.Check(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range found {
		got = append(got, d.String())
	}
	want := []string{
		"/etc/apparmor.d/plain:10: profile /usr/sbin/plain is complain, should be enforce", "/etc/apparmor.d/plain:19: profile /usr/sbin/plain//hat is complain, should be enforce",
		"/etc/apparmor.d/plain:22: profile /usr/sbin/plain//other is complain, should be enforce", "/etc/apparmor.d/plain:24: profile named is complain, should be enforce",
		"/etc/apparmor.d/disable/usr.bin.off is there, should be absent", "/etc/apparmor.d/force-complain/usr.bin.soft is there, should be absent",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if left, err := decode(t, "{complain-allowed: true}").Check(ctx, s); err != nil || len(left) != 1 {
		t.Errorf("where complain mode will do: %v, %v", left, err)
	}
	if changed, err := r.Apply(ctx, s); !changed || err != nil {
		t.Fatalf("%v, %v", changed, err)
	}
	if left, err := r.Check(ctx, s); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
	if changed, err := r.Apply(ctx, s); changed || err != nil {
		t.Errorf("a second time: %v, %v", changed, err)
	}
	after, err := system.ReadFile(s, "/etc/apparmor.d/plain", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	expected := strings.NewReplacer(" flags=(complain) {", " {", "flags=( complain attach_disconnected )", "flags=(attach_disconnected)", "hat other (complain)", "hat other",
		"flags = (attach_disconnected, complain, mediate_deleted)", "flags = (attach_disconnected, mediate_deleted)",
		"profile free /bin/free flags=(unconfined) { userns, }\n", "").Replace(everything)
	if diff := cmp.Diff(expected, string(after)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestUnconfinedOnPurposeIsForAPersonToDecide(t *testing.T) {
	s := memory(t, map[string]string{"free": "profile free /bin/free flags=(unconfined) { userns, }\n"})
	if changed, err := decode(t, "{}").Apply(context.Background(), s); changed || fault.HintOf(err) == "" {
		t.Errorf("%v, %v", changed, err)
	}
	for _, settings := range []string{"{except: [free]}", "{except: [/etc/apparmor.d/free]}", "{unconfined-allowed: true}"} {
		if left, err := decode(t, settings).Check(context.Background(), s); len(left) > 0 || err != nil {
			t.Errorf("%s: %v, %v", settings, left, err)
		}
		if changed, err := decode(t, settings).Apply(context.Background(), s); changed || err != nil {
			t.Errorf("%v, %v", changed, err)
		}
	}
}

func TestLiveHost(t *testing.T) {
	files := map[string]string{
		"tunables/global": "@{bin}=/usr/{bin,sbin}\n", "usr.sbin.a": "include <tunables/global>\nprofile a @{bin}/a{,-x} { }\n", "usr.sbin.b": "/usr/sbin/b { ^hat { } }\n", "usr.sbin.c": "/usr/sbin/c { }\n",
		"/sys/module/apparmor/parameters/enabled": "Y\n", "/sys/kernel/security/apparmor/profiles": "a (enforce)\n/usr/sbin/b (complain)\n/usr/sbin/b//hat (enforce)\ndocker-default (kill)\n",
		"/proc/1/exe": "-> /usr/lib/systemd/systemd", "/proc/1/attr/current": "unconfined\n", "/proc/20/exe": "-> /usr/sbin/a-x (deleted)", "/proc/20/attr/current": "unconfined\n",
		"/proc/21/exe": "-> /usr/bin/a", "/proc/21/attr/current": "a (enforce)\n", "/proc/22/exe": "-> /usr/sbin/b", "/proc/22/attr/apparmor/current": "unconfined\n",
		"/proc/22/attr/current": "something of another module", "/proc/2/attr/current": "unconfined\n", "/proc/self": "-> 21",
	}
	for name, c := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"as it is": {nil, []string{
			"/sys/kernel/security/apparmor/profiles: /usr/sbin/b is complain, should be enforce", "/sys/kernel/security/apparmor/profiles: /usr/sbin/c is not loaded, should be loaded",
			"/proc/20: /usr/sbin/a-x is unconfined, should be confined by a", "/proc/22: /usr/sbin/b is unconfined, should be confined by /usr/sbin/b",
		}},
		"switched off": {map[string]string{"/sys/module/apparmor/parameters/enabled": "N\n"}, []string{"/sys/module/apparmor/parameters/enabled is off, should be on"}},
	} {
		all := map[string]string{}
		for f, text := range files {
			all[f] = text
		}
		for f, text := range c.change {
			all[f] = text
		}
		found, err := decode(t, "{}").Check(context.Background(), memory(t, all))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range found {
			got = append(got, d.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestPatterns(t *testing.T) {
	variables := apparmor.Variables{"@{a}": {"/usr/", "/opt"}, "@{b}": {"@{a}/b"}, "@{loop}": {"@{loop}x"}}
	for glob, c := range map[string]struct{ yes, no string }{
		"/bin/*": {"/bin/a /bin/", "/bin/a/b /sbin/a"}, "/bin/**": {"/bin/a/b", "/bi"}, "/{usr/,}bin/x": {"/usr/bin/x /bin/x", "/usrbin/x"}, "/b?n": {"/bin", "/b/n"},
		"/x[a-c]": {"/xa", "/xd"}, "/x[^a-c]": {"/xd", "/xa"}, "@{b}/c": {"/usr/b/c /opt/b/c", "/b/c"}, `/a\*b.c`: {"/a*b.c", "/axb.c /a*bxc"}, "/ä/{ö,{u,v}}": {"/ä/ö /ä/v", "/ä/"},
	} {
		e, err := apparmor.Pattern(glob, variables)
		if err != nil {
			t.Errorf("%s: %v", glob, err)
			continue
		}
		for _, name := range strings.Fields(c.yes) {
			if !e.MatchString(name) {
				t.Errorf("%s does not match %s", glob, name)
			}
		}
		for _, name := range strings.Fields(c.no) {
			if e.MatchString(name) {
				t.Errorf("%s matches %s", glob, name)
			}
		}
	}
	for _, glob := range []string{"@{loop}", "@{none}", "@{x", "/{a", "/[a", "/\xff"} {
		if _, err := apparmor.Pattern(glob, variables); err == nil {
			t.Errorf("%q is accepted", glob)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(everything)
	f.Add("/a flags=(complain){}\n^h {")
	f.Add("/a {\n  include <abstractions/base>\n  deny /b x,\n  signal (send) set=(term) peer=c,\n  mount options in (ro) /x -> /y,\n  set rlimit nofile <= 1,\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, variables, err := apparmor.Parse(text)
		if err != nil {
			return
		}
		for _, p := range list {
			if p.Name == "" {
				t.Fatalf("a profile without a name: %+v", p)
			}
			apparmor.Pattern(p.Attachment, variables)
		}
		// What Apply makes of it is as good a file, with the same profiles.
		s := memory(t, map[string]string{"x": text, "tunables/global": "@{HOME}=/root\n", "abi/3.0": ""})
		if _, err := decode(t, "{}").Apply(context.Background(), s); err != nil {
			return
		}
		after, err := system.ReadFile(s, "/etc/apparmor.d/x", 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := apparmor.Parse(string(after))
		if err != nil || len(again) != len(list) {
			t.Fatalf("%d profiles, then %d: %v\n%s", len(list), len(again), err, after)
		}
		for i, p := range again {
			if p.Name != list[i].Name || p.Mode() != "enforce" {
				t.Fatalf("%+v, then %+v", list[i], p)
			}
		}
	})
}
