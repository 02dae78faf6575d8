package logrotate_test

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/system"
)

// forms are configurations, and files that they include, after "=== NAME" lines;
// @ is a line of its own. What logrotate complains of is what reading them refuses.
var forms = []string{
	"", "@", "# c@", "/v/a {@weekly@rotate 4@}@", "weekly@rotate 4@create@compress@/v/a {@ missingok@}@", "/v/a{@}@", "# c@  /v/a   /v/b {@  # c@  weekly@  }@", "/v/a@# c@/v/b@{@}@", "'/v/a' {@}@",
	"\"/v/a\" /v/b {@}@", "/v/a {@prerotate@x {@}@endscript@postrotate@y@ endscript@}@", "postrotate@y@endscript@/v/a {@}@", "/v/a {@postrotate x@ endscript@}@", "/v/a { # c@weekly@}@", "/v/a { daily@}@",
	"/v/a { compress }@", "/v/a { compress rotate 3@}@", "size 1k@minsize 1M@maxsize 1G@size 10@size k@size=5@size = 6k@", "/v/a {@create 640@create 0640 root@create 0640 root nogroup@create root nogroup@create@nocreate@}@",
	"/v/a {@createolddir 0755 root nogroup@olddir old@noolddir@su root nogroup@}@",
	"/v/a {@dateformat -%Y@dateext@extension .log@addextension .x@mail root@}@",
	"/v/a {@compresscmd /bin/gzip@compressext .gz@compressoptions -9@minage 3@maxage 4@start 3@shredcycles 3@shred@sharedscripts@yearly compress@}@", "/v/a {@weekly 3@rotate -1@rotate=4@rotate\t4 @}@",
	"include /d@=== /d/a@/v/a {@}@=== /d/b.bak@bad@=== /d/c~@bad@=== /d/d.dpkg-old@bad@", "tabooext + .x,.y@include /d@=== /d/a.x@bad@=== /d/b.y@bad@=== /d/c.swp@bad@", "taboopat a*@include /d@=== /d/a.x@bad@",
	"include d/a@=== /d/a@/v/a {@ daily@}@", "/v/a {@ignoreduplicates@}@/v/a {@ignoreduplicates@}@",
	"/v/} {@}@", "garbage@", "/v/a {@garbage@}@", "/v/a {@rotate x@}@", "/v/a {@rotate@}@", "/v/a {@rotate -2@}@", "/v/a {@rotate 4 # c@}@", "/v/a {@weekly # c@}@", "/v/a { weekly }@", "/v/a { weekly rotate 4 }@",
	"/v/a {weekly@rotate 4}@", "/v/a {@weekly 9@}@", "/v/a {@monthly 3@}@", "/v/a {@size 10Q@}@", "/v/a {@size 1 k@}@", "/v/a {@size -1@}@", "/v/a {@size 1.5M@}@", "/v/a {@size@}@", "/v/a {@create 0999 root nogroup@}@",
	"/v/a {@create 640 root nogroup x@}@", "/v/a {@create 8888@}@", "/v/a {@create rw@}@", "/v/a {@su root@}@", "/v/a {@su root nogroup x@}@", "/v/a {@maxage x@}@", "/v/a {@mail@}@", "/v/a {@mail a b@}@", "/v/a {@start -1@}@",
	"/v/a {@postrotate@ foo@}@", "endscript@", "/v/a {@postrotate@ endscript x@}@", "/v/a {@weekly@} # c@", "/v/a {@weekly@} /v/b {@}@", "/v/a {@}}@", "}@", "{@}@", "relative {@}@", "/v/a@", "=@", "Weekly@", "compress foo@",
	"/v/a {@shred;@}@", "/v/a {@compress=4@}@", "/v/a {@compress\\@rotate 4@}@", "/v/a {\r@weekly\r@}@", "/v/a {@}@/v/a {@}@", "/v/a {@/v/b {@}@}@", "/v/a {@tabooext .x@}@", "tabooext@", "include@", "include /nowhere@", "include /d/*@=== /d/a@@",
	"include /d@=== /d/.hidden@bad@", "compress", "/v/a {@errors x@}@",
}

// cut are those that logrotate takes and reading them does not.
var cut = []string{"/v/a {@weekly@", "\"/v/a {@}@", "include /d@=== /d/a@/v/a {@"}

// TestWhatParsesIsWhatLogrotateTakes has logrotate judge configurations, and what
// comes with it.
func TestWhatParsesIsWhatLogrotateTakes(t *testing.T) {
	root := peertest.Root(t, []string{"logrotate", "libpopt0"}, "/usr/sbin/logrotate")
	for _, name := range []string{"/v/a", "/v/b", "/var/lib/logrotate/x", "/v/old/x"} {
		peertest.Write(t, root, name, "")
	}
	for _, form := range slices.Concat(forms, cut) {
		files := split(form)
		for name, text := range files {
			peertest.Write(t, root, name, text)
		}
		compare(t, root, form, files)
		for _, name := range []string{"/etc/test.conf", "/d"} {
			if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	peertest.Write(t, root, "/etc/group", "root:x:0:\nutmp:x:43:\n")
	shipped := map[string]string{}
	for _, name := range []string{"/etc/logrotate.conf", "/etc/logrotate.d/wtmp", "/etc/logrotate.d/btmp"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		shipped[strings.Replace(name, "logrotate.conf", "test.conf", 1)] = string(data)
	}
	peertest.Write(t, root, "/etc/test.conf", shipped["/etc/test.conf"])
	compare(t, root, "what Debian ships", shipped)
}

func compare(t *testing.T, root, form string, files map[string]string) {
	t.Helper()
	out, _ := peertest.Command(root, "/usr/sbin/logrotate", "-d", "/etc/test.conf").CombinedOutput() // what it says decides
	takes := true
	for line := range strings.Lines(string(out)) {
		// That a log is not there is no mistake of the configuration's.
		takes = takes && (!strings.HasPrefix(line, "error:") || strings.HasPrefix(line, "error: stat of"))
	}
	s := edittest.Memory(t, files)
	_, err := state(t, "/v/a: {main: /etc/test.conf}").Check(t.Context(), s)
	if takes && err == nil {
		appliedIsTaken(t, root, form, s)
	}
	if takes = takes && !slices.Contains(cut, form); takes != (err == nil) {
		t.Errorf("%q: logrotate takes it: %v, reading it: %v\n%s", form, takes, err, out)
	}
}

// appliedIsTaken has logrotate judge what applying a state leaves, and tell the
// state of it.
func appliedIsTaken(t *testing.T, root, form string, s *system.Memory) {
	t.Helper()
	changed, err := state(t, "/v/a: {every: weekly, keep: 13, create-mode: 0640, main: /etc/test.conf}").Apply(t.Context(), s)
	if err != nil {
		if !strings.Contains(err.Error(), "not rotated") && !strings.Contains(err.Error(), "for other logs too") {
			t.Errorf("%q: %v", form, err)
		}
		return
	}
	for _, name := range []string{"/etc/test.conf", "/d/a"} {
		if text, there, err := system.ReadText(s, name, 1<<20); err != nil {
			t.Fatal(err)
		} else if there {
			peertest.Write(t, root, name, text)
		}
	}
	out, err := peertest.Command(root, "/usr/sbin/logrotate", "-d", "/etc/test.conf").CombinedOutput()
	if text := string(out); err != nil || !strings.Contains(text, " weekly ") || changed && !strings.Contains(text, "(13 rotations)") && !strings.Contains(text, "forever") {
		t.Errorf("%q: applied, logrotate says: %v, %s", form, err, out)
	}
}

// TestAFileThatOthersWriteIsIgnored by logrotate, and is no pass.
func TestAFileThatOthersWriteIsIgnored(t *testing.T) {
	s := edittest.Memory(t, map[string]string{"/etc/logrotate.conf": "include /d\n", "/d/a": "/v/a {\n}\n"})
	for _, break_ := range []func() error{
		func() error { return s.Chmod("/d/a", 0o664) },
		func() error { return s.Chown("/d/a", 5, 0) },
	} {
		if _, err := state(t, "/v/a: {}").Check(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := break_(); err != nil {
			t.Fatal(err)
		}
		if d, err := state(t, "/v/a: {}").Check(t.Context(), s); err == nil {
			t.Errorf("it is told: %v", d)
		}
		if err := s.Chmod("/d/a", 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func split(form string) map[string]string {
	files := map[string]string{}
	form = strings.ReplaceAll(form, "@", "\n")
	parts := strings.Split(form, "=== ")
	files["/etc/test.conf"] = parts[0]
	for _, part := range parts[1:] {
		name, text, _ := strings.Cut(part, "\n")
		if strings.HasPrefix(name, "/d/") && path.Clean(name) == name {
			files[name] = text
		}
	}
	return files
}
