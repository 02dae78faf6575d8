package apparmor_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/apparmor"
	"imgbuild/provisioners/system"
)

// TestNamesAreThoseOfTheParser reads the profiles that Debian ships, and has
// AppArmor's own parser name those in them.
func TestNamesAreThoseOfTheParser(t *testing.T) {
	tree := peertest.Unpack(t, "apparmor", "apparmor-profiles", "apparmor-profiles-extra")
	root := t.TempDir()
	base := filepath.Join(root, "etc/apparmor.d")
	if err := os.CopyFS(base, os.DirFS(tree.Path("etc/apparmor.d"))); err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, pattern := range []string{base + "/*", tree.Path("usr/share/apparmor/extra-profiles/*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if err := os.WriteFile(filepath.Join(base, "everything"), []byte("@{FREE}=/srv/free\n/usr/sbin/plain flags=(complain) {\n  ^hat flags=(complain, attach_disconnected) {\n  }\n"+
		"  profile child /bin/child { /bin/child mr, }\n  hat other { }\n}\nprofile named @{FREE}/named xattrs=(user.x=y) flags = (attach_disconnected, complain) {\n}\nprofile \"a b\" { }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(base, "everything"))
	compared := 0
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || !info.Mode().IsRegular() || filepath.Base(file) == "README" {
			continue
		}
		// What a machine adds to a profile, which is nothing here.
		local := filepath.Join(base, "local", filepath.Base(file))
		if err := os.WriteFile(local, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out, err := tree.Command("sbin/apparmor_parser", "--names", "--skip-cache", "--base", base, file).Output()
		if err != nil {
			t.Logf("the parser refuses %s: %v", filepath.Base(file), err)
			continue
		}
		want := strings.Split(strings.TrimSpace(string(out)), "\n")
		// An abstraction's own profile, which every profile that includes it gets.
		want = slices.DeleteFunc(want, func(name string) bool { return strings.HasSuffix(name, "//sanitized_helper") })
		list, _, err := apparmor.Parse(string(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var got []string
		for _, p := range list {
			got = append(got, p.Name)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-parser +own):\n%s", file, diff)
		}
		compared++
	}
	if compared < 20 {
		t.Errorf("%d files were compared", compared)
	}
	t.Logf("%d files were compared", compared)
	// Those that are read at start parse with all that they include.
	s, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := decode(t, "{}").Check(context.Background(), s); err != nil {
		t.Error(err)
	}
}

// ruled are rules and flags of profiles, good ones and bad ones.
const ruled = `owner /x r|deny /y w|audit /z r|/q r, /w w|file|mount|umount|signal|ptrace|dbus|unix|pivot_root|change_profile -> x|link /a -> /b|remount|
link subset /a -> /b|l /a -> /b|/a l -> /b|/a px -> b|/a x|deny /a x|/a aw|/a|/a Pixr|/a Cuxm|/a uxk|/a pcx|other /x r|file r /x|file /x r|owner file r /x|
network inet stream|network tcp|network inet tcp|network raw|network foo|signal garbage|signal send set=(term) peer=x|ptrace garbage|ptrace (trace) peer=x|
ptrace (trace, nope) peer=x|mount fstype=ext4 /a -> /b|mount options in (ro) /a -> /b|mount options=(rw,bind) /a -> /b|dbus garbage|dbus foo=x|
dbus send bus=system path=/x interface=a member=b peer=(name=x, label=y)|unix garbage|unix (send) type=stream|set rlimit nope <= 1|set rlimit nofile|
set rlimit nofile <= 1|set rlimit fsize <= 1M|rlimit nofile <= 1|unsafe /x px|/x px,,|hat x|abi <abi/3.0>|alias /a -> /b|capability|capability chown kill|
capability chown, kill|capability nonsense|deny capability chown|change_profile /x -> y|pivot_root /a|allow /x r|audit deny owner /x r|/x r -> y|umount /x|
@{profile_name} r|"/x y" r|/x RW|capability CHOWN|/x rr|/x Ux|priority 3|garbage|deny|x y z|/x zz|/x r, garbage|@{NONE} r|@{X}/a r|@{X}=/y|r /x|garbage /x r|
signal set=(term, kil),|signal set=(rtmin+32 "hup")|signal set=rtmin+33|signal set=()|signal (send) set = (kill)|owner owner /x r|deny audit /x w|audit deny owner /x w|owner signal|owner file|owner other /x r|
owner set rlimit nofile <= 1|/a{b} r|/a{b,{c,d}} r|/a[bc r|/a]b r|/a[] r|/a[{] r|/a{[},b]} r|/a\} r|/{a,b}{c} r|/a{@{HOME},b} r|/a@{NOPE r|link subset /a{b} -> /c|link /a -> /c{d}|change_profile /a{b} -> c|
mount /a{b} -> /c|abi <abi/4.99>|abi abi/3.0>|@{}=/a|include <abstractions/base>|include <abstractions/base> more|include <nothing>|include if exists <nothing>|#include <nothing>|# include <nothing>`

// TestTheParserRefusesWhatIsRefusedHere puts lines into profiles and before
// them, and asks AppArmor's own parser what it takes.
func TestTheParserRefusesWhatIsRefusedHere(t *testing.T) {
	tree := peertest.Unpack(t, "apparmor", "apparmor-profiles", "apparmor-profiles-extra")
	root := t.TempDir()
	base := filepath.Join(root, "etc/apparmor.d")
	if err := os.CopyFS(base, os.DirFS(tree.Path("etc/apparmor.d"))); err != nil {
		t.Fatal(err)
	}
	// Only the parts are wanted: the parser is given one file.
	entries, err := os.ReadDir(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			if err := os.Remove(filepath.Join(base, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const head, body = "abi <abi/3.0>,\ninclude <tunables/global>\n@{X}=/srv\n", "profile a /bin/a {\n  /bin/a mr,\n}\n"
	texts := []string{
		head + body + body, body + "garbage\n", "@{X}=\n" + body, "@{X}=/a\n@{X}=/b\n" + body, "$x = true\n/a { if $x { /x r, } else { /y r, } }\n", "$x = garbage\n" + body,
		"profile b c { }\n", "profile b /c { }\n", "profile b! /c { }\n", "profile \"b!\" /c { }\n", "/b{c} { }\n", "profile b{c} /d { }\n", "profile a { profile b c { } }\n", "@{a+}=/c\n" + body, "@{a}=!/c\n" + body, "abi <abi/3.0>\n" + body,
		"profile a flags=foo { }\n", "if defined $x {\n" + body + "}\n", "/a {\n ^h {\n }\n ^h {\n }\n}\n", "/a { include \"abstractions/base\" }\n", "/a { owner { /x r, } }\n", "owner { /x r, }\n",
	}
	for rule := range strings.SplitSeq(ruled, "|") {
		rule = strings.TrimSpace(rule)
		texts = append(texts, head+strings.Replace(body, "{\n", "{\n  "+rule+",\n", 1), rule+"\n"+head+body)
	}
	for _, flag := range []string{"complain", "kill", "mediate_deleted", "chroot_no_attach", "hat", "enforce complaint", "audit"} {
		texts = append(texts, "profile a flags=("+flag+") { }\n")
	}
	refused := 0
	for _, text := range texts {
		if err := os.WriteFile(filepath.Join(base, "t"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, peer := tree.Command("sbin/apparmor_parser", "-Q", "-K", "-O", "no-expr-simplify", "--base", base, filepath.Join(base, "t")).CombinedOutput()
		if peer != nil {
			refused++
		}
		_, own := decode(t, "{}").Check(context.Background(), s)
		if (own != nil) != (peer != nil) {
			t.Errorf("%q: own %v, the parser %v: %s", text, own, peer, out)
		}
	}
	t.Logf("%d of %d were refused", refused, len(texts))
}
