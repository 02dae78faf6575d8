package logrotate_test

import (
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/logrotate"
)

func state(t testing.TB, recipe string) *logrotate.State {
	t.Helper()
	n, err := node.Parse("a.yaml", nil, "a.yaml", []byte(recipe))
	if err != nil {
		t.Fatal(err)
	}
	s, err := logrotate.New(n.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	debian = "weekly\nrotate 4\ncreate\n#compress\ninclude /etc/logrotate.d\n"
	wtmp   = "# no packages own wtmp\n/var/log/wtmp {\n    missingok\n    monthly\n    create 0664 root utmp\n    minsize 1M\n    rotate 1\n}\n"
	apache = "/var/log/apache2/*.log {\n\tdaily\n\tmissingok\n\trotate 14\n\tcreate 640 root adm\n\tpostrotate\n\t\tif a; then reload; fi\n\tendscript\n}\n"

	quarter = "'/var/log/apache2/*.log': {every: weekly, keep: 13}"
	private = "/var/log/wtmp: {create-mode: 0640}"
)

// TestWhatIsFound has configurations with what is told of them, and what applying
// the state leaves.
func TestWhatIsFound(t *testing.T) {
	with := func(name, text string) map[string]string {
		return map[string]string{"/etc/logrotate.conf": debian, name: text}
	}
	for _, c := range []struct {
		name, wish string
		files      map[string]string
		// want are parts of the differences, in order.
		want []string
		// left are the files that are changed.
		left    map[string]string
		refused string
	}{
		{"as Debian ships it", quarter, with("/etc/logrotate.d/apache2", apache), []string{"/etc/logrotate.d/apache2:2: time of /var/log/apache2/*.log is daily, should be weekly"},
			map[string]string{"/etc/logrotate.d/apache2": strings.Replace(apache, "daily", "weekly", 1)}, ""},
		{"a comment behind it", "/a: {every: weekly}", with("/etc/logrotate.d/a", "/a {\n  daily # not weekly\n}\n"), []string{"daily"}, map[string]string{"/etc/logrotate.d/a": "/a {\n  weekly\n   # not weekly\n}\n"}, ""},
		{"too few", quarter, with("/etc/logrotate.d/apache2", strings.NewReplacer("daily", "weekly", "14", "4 ").Replace(apache)), []string{"/etc/logrotate.d/apache2:4: rotate of /var/log/apache2/*.log is 4, should be at least 13"},
			map[string]string{"/etc/logrotate.d/apache2": strings.NewReplacer("daily", "weekly", "14", "13 ").Replace(apache)}, ""},
		{"more, and for ever", "/a: {every: weekly, keep: 13}", with("/etc/logrotate.d/a", "/a {\n rotate 20\n}\n\"/a\" /b {\n ignoreduplicates\n rotate -1\n}\n"), nil, nil, ""},
		{"what holds for all", quarter, with("/etc/logrotate.d/apache2", "/var/log/apache2/access.log {\n}\n"), []string{"/etc/logrotate.conf:2: rotate of"},
			map[string]string{"/etc/logrotate.d/apache2": "/var/log/apache2/access.log {\n\trotate 13\n}\n"}, ""},
		{"a size in a time's place", quarter, with("/etc/logrotate.d/apache2", "/var/log/apache2/*.log { rotate 13\n size 10M\n}\n"), []string{"time of /var/log/apache2/*.log is of no matter, it goes by size"},
			map[string]string{"/etc/logrotate.d/apache2": "/var/log/apache2/*.log { rotate 13\n weekly\n}\n"}, ""},
		{"removed for its age, rotated for its size", quarter, with("/etc/logrotate.d/apache2", "/var/log/apache2/*.log {\n rotate 13\n maxage 30\n maxsize 1M\n}\n"), []string{"maxage of /var/log/apache2/*.log is 30 days, should be at least 91", "maxsize"},
			map[string]string{"/etc/logrotate.d/apache2": "/var/log/apache2/*.log {\n rotate 13\n maxage 91\n}\n"}, ""},
		{"rotated for a size that all have", quarter, map[string]string{"/etc/logrotate.conf": "maxsize 1M\nweekly\nrotate 13\ninclude /srv/a\n", "/srv/a": "/var/log/apache2/*.log {\n}\n"}, []string{"/etc/logrotate.conf:1: maxsize"}, nil, "for other logs too"},
		{"a site's log has a block elsewhere", quarter, map[string]string{"/etc/logrotate.conf": debian + "include /srv/more\n", "/etc/logrotate.d/apache2": strings.Replace(apache, "daily", "weekly", 1), "/srv/more": "/var/log/apache2/shop.log {\n\tdaily\n\trotate 14\n}\n"},
			[]string{"/srv/more:2: time of"}, map[string]string{"/srv/more": "/var/log/apache2/shop.log {\n\tweekly\n\trotate 14\n}\n"}, ""},
		{"no block", quarter, with("/etc/logrotate.d/apache2.dpkg-old", apache), []string{"/etc/logrotate.conf: /var/log/apache2/*.log is not rotated"}, nil, "what to do when it was rotated"},
		{"no configuration", quarter, nil, []string{"/etc/logrotate.conf: /var/log/apache2/*.log is not rotated"}, nil, "what to do when it was rotated"},
		{"the mode of wtmp", private, with("/etc/logrotate.d/wtmp", wtmp), []string{"/etc/logrotate.d/wtmp:5: create of /var/log/wtmp is 0664, should be at most 0640"},
			map[string]string{"/etc/logrotate.d/wtmp": strings.Replace(wtmp, "0664", "0640", 1)}, ""},
		{"a stricter one", private, with("/etc/logrotate.d/wtmp", strings.Replace(wtmp, "0664", "600", 1)), nil, nil, ""},
		{"the old log's", private, with("/etc/logrotate.d/wtmp", "/var/log/*tmp {\n  create root utmp\n}\n"), []string{"create of /var/log/wtmp is as the old log's"}, map[string]string{"/etc/logrotate.d/wtmp": "/var/log/*tmp {\n  create 0640 root utmp\n}\n"}, ""},
		{"taken back", private, with("/etc/logrotate.d/wtmp", "/var/log/wtmp {\n  create 0640 root utmp\n  nocreate\n}\n"), []string{"is none is made"}, map[string]string{"/etc/logrotate.d/wtmp": "/var/log/wtmp {\n  create 0640 root utmp\n  create 0640\n}\n"}, ""},
		{"none", private, with("/etc/logrotate.d/wtmp", "/var/log/wtmp { compress }\n"), []string{"/etc/logrotate.conf:3: create"}, map[string]string{"/etc/logrotate.d/wtmp": "/var/log/wtmp { compress \n\tcreate 0640\n}\n"}, ""},
		{"started with another configuration", private, map[string]string{"/etc/logrotate.conf": debian, "/etc/logrotate.d/wtmp": strings.Replace(wtmp, "0664", "0640", 1),
			"/etc/systemd/system/logrotate.service": "[Service]\nExecStart=/usr/sbin/logrotate /srv/mine.conf\n"}, []string{"/etc/systemd/system/logrotate.service: ExecStart is not logrotate with /etc/logrotate.conf"}, nil, "ExecStart is"},
		{"not started at all", private, map[string]string{"/etc/logrotate.conf": debian, "/etc/logrotate.d/wtmp": strings.Replace(wtmp, "0664", "0640", 1),
			"/usr/lib/systemd/system/logrotate.service": "[Service]\nExecStart=/usr/sbin/logrotate /etc/logrotate.conf\n", "/etc/systemd/system/service.d/a.conf": "[Service]\n# mine \\\nExecStart=\nExecStart=/bin/true \\\n# /etc/logrotate.conf\n"},
			[]string{"/etc/systemd/system/service.d/a.conf: ExecStart is not logrotate"}, nil, "ExecStart is"},
		{"a copy", private, with("/etc/logrotate.d/wtmp", "/var/log/wtmp {\n copytruncate\n}\n"), nil, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			edittest.Case{Files: c.files, Found: c.want, Left: c.left, Refused: c.refused}.Run(t, state(t, c.wish))
		})
	}
}

// FuzzApply applies states to whatever is taken for a configuration: either that is
// an error, or they hold afterwards and a second time changes nothing.
func FuzzApply(f *testing.F) {
	for _, form := range forms {
		f.Add(form)
	}
	f.Add(wtmp + apache)
	f.Fuzz(func(t *testing.T, form string) {
		s := edittest.Memory(t, split(form))
		for _, wish := range []string{"/v/a: {every: weekly, keep: 13, create-mode: 0640, main: /etc/test.conf}", "'/v/*': {every: daily, keep: 3, main: /etc/test.conf}"} {
			w := state(t, wish)
			if _, err := w.Apply(t.Context(), s); err != nil {
				continue
			}
			edittest.Settled(t, w, s)
		}
	})
}
