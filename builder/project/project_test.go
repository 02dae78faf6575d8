package project_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"imgbuild/builder/host"
	"imgbuild/builder/project"
	"imgbuild/images/fault"
	"imgbuild/images/updates/policy"
)

// home gives the test XDG directories and settings of its own.
func home(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home [1]") // no pattern finds it
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", dir)
	for _, variable := range []string{"XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", project.PasswordVariable} {
		t.Setenv(variable, "")
	}
	for _, s := range project.Settings() {
		t.Setenv(s.Variable(), "")
	}
	return dir
}

// written makes a project directory with the given imgbuild.yaml.
func written(t *testing.T, yaml string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, project.FileName), []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFlagsWinOverVariablesOverTheFile(t *testing.T) {
	home(t)
	dir := written(t, "mirror: http://file.example/debian/\nsecurity-mirror: http://file.example/security\narchive:\n  dir: store\n")
	work := filepath.Join(dir, "baselines")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IMGBUILD_MIRROR", "http://variable.example/debian")
	t.Setenv("IMGBUILD_SECURITY_MIRROR", "http://variable.example/security")
	t.Setenv("IMGBUILD_ARCHIVE_SOURCES", "near,http://archive.example")
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String("mirror", "", "")
	if err := flags.Parse([]string{"--mirror", "http://flag.example/debian"}); err != nil {
		t.Fatal(err)
	}
	p, err := project.Open(project.Options{WorkDir: work, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	if p.Dir != dir {
		t.Errorf("found %s, want the directory above, %s", p.Dir, dir)
	}
	for what, pair := range map[string][2]string{
		"mirror, by flag":                {p.Config.Mirror, "http://flag.example/debian"},
		"security-mirror, by variable":   {p.Config.SecurityMirror, "http://variable.example/security"},
		"archive.dir, beside the file":   {p.Config.Archive.Dir, filepath.Join(dir, "store")},
		"archive.sources, where we work": {strings.Join(p.Config.Archive.Sources, " "), filepath.Join(work, "near") + " http://archive.example"},
		"catalog, by default":            {p.Config.Catalog, filepath.Join(dir, ".imgbuild", "catalog")},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
	if p.Config.Cache.LimitBytes != 20<<30 {
		t.Errorf("cache.limit: got %d bytes", p.Config.Cache.LimitBytes)
	}
	if got, err := p.Mirror(host.ArchiveDebian, "bookworm"); err != nil || got != "http://flag.example/debian" {
		t.Errorf("Mirror: %q, %v", got, err)
	}
}

func TestTheEnvironmentMayTightenTheModeOnly(t *testing.T) {
	home(t)
	for _, c := range []struct {
		file, variable string
		want           policy.Mode // empty where that is refused
	}{
		{"open", "approved", policy.Approved},
		{"approved", "approved", policy.Approved},
		{"approved", "", policy.Approved},
		{"approved", "open", ""},
	} {
		dir := written(t, "policy: {mode: "+c.file+"}\n")
		t.Setenv("IMGBUILD_POLICY_MODE", c.variable)
		p, err := project.Open(project.Options{WorkDir: dir})
		switch {
		case c.want == "" && (fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), "IMGBUILD_POLICY_MODE is open")):
			t.Errorf("%+v: got %v", c, err)
		case c.want != "" && (err != nil || p.Config.Policy.Policy.Mode != c.want):
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestSettingsAreStrict(t *testing.T) {
	home(t)
	for name, c := range map[string]struct{ yaml, message, hint string }{
		"unknown":          {"miror: http://x.example/debian\n", `imgbuild.yaml:1:1: unknown setting "miror"`, `"mirror"`},
		"unknown in group": {"archive:\n  dirs: /x\n", `imgbuild.yaml:2:3: unknown setting "archive.dirs"`, `"archive.dir"`},
		"unknown in trust": {"trust:\n  - name: a\n    keys: b\n", `imgbuild.yaml:3:5: unknown setting "keys"`, `"key"`},
		"no URL":           {"mirror: mirror.example/debian\n", `mirror is "mirror.example/debian", which is no http or https URL`, "http://"},
		"no size":          {"cache:\n  limit: much\n", `"much" is no size`, ""},
		"no mode":          {"policy:\n  mode: closed\n", `policy.mode is "closed"`, "open"},
		"no URL in file":   {"policy:\n  mode: open\nmirror: ftp://x.example\n", `imgbuild.yaml:3:1: mirror is "ftp://x.example"`, ""},
		"no size in file":  {"cache:\n  limit: much\n", `imgbuild.yaml:2:3: cache.limit: "much" is no size`, "20GiB"},
		"no YAML":          {"mirror: [\n", "imgbuild.yaml:1:9: ", ""},
		"no map":           {"- mirror\n", `imgbuild.yaml:1:1: expected settings such as "mirror: URL", found a list`, ""},
		"list for text":    {"mirror: [a, b]\n", "imgbuild.yaml:1:9: mirror: expected text, found a list", ""},
		"text for group":   {"archive: /srv\n", "imgbuild.yaml:1:10: archive: expected a map, found text", "archive.dir, archive.sources"},
		"map for list":     {"archive:\n  sources: {a: b}\n", "archive.sources: expected a list, found a map", "hyphen"},
		"list in a list":   {"archive:\n  sources: [[a]]\n", "archive.sources: expected text, found a list", ""},
		"text for trust":   {"trust: keys/a.pub\n", "trust: expected a list, found text", "hyphen"},
		"list in trust":    {"trust:\n- key: [a]\n", "imgbuild.yaml:2:8: trust: key: expected text, found a list", ""},
		"given twice":      {"cache.dir: a\ncache:\n  dir: b\n", "imgbuild.yaml:3:3: cache.dir was given already at line 1", ""},
		"right line":       {"cache:\n  dir: a\narchive:\n  dir: [b]\n", "imgbuild.yaml:4:8: archive.dir", ""},
		"ftp source":       {"archive:\n  sources: [ftp://x.example]\n", `imgbuild.yaml:2:3: archive.sources: archive source "ftp://x.example": ftp:// is not known`, "docker://"},
		"web catalog":      {"catalog: http://registry.example/x\n", `imgbuild.yaml:1:1: catalog is "http://registry.example/x"`, "write a registry as docker://registry.example/x"},
		"bare registry":    {"catalog: registry.example/x\n", "looks like a registry", "write docker://registry.example/x, or ./registry.example/x"},
		"registry's port":  {"catalog: localhost:5000/x\n", "looks like a registry", "docker://localhost:5000/x"},
		"trusted catalog":  {"trust:\n- {name: a, key: b, catalog: https://registry.example/x}\n", "trust: entry 1: catalog is", "docker://"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := project.Open(project.Options{Dir: written(t, c.yaml)})
			if fault.KindOf(err) != fault.Input {
				t.Fatalf("got %v, want an input error", err)
			}
			if !strings.Contains(err.Error(), c.message) {
				t.Errorf("message: got %q, want %q in it", err, c.message)
			}
			if !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("hint: got %q, want %q in it", fault.HintOf(err), c.hint)
			}
		})
	}
}

func TestErrorsNameTheVariableOrFlag(t *testing.T) {
	home(t)
	dir := written(t, "mirror: http://x.example/debian\n")
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String("cache-limit", "", "")
	if err := flags.Parse([]string{"--cache-limit", "lots"}); err != nil {
		t.Fatal(err)
	}
	if _, err := project.Open(project.Options{Dir: dir, Flags: flags}); err == nil || !strings.HasPrefix(err.Error(), `--cache-limit: "lots" is no size`) {
		t.Errorf("by flag: %v", err)
	}
	t.Setenv("IMGBUILD_MIRROR", "ftp://x.example")
	if _, err := project.Open(project.Options{Dir: dir}); err == nil || !strings.HasPrefix(err.Error(), `IMGBUILD_MIRROR is "ftp://x.example"`) {
		t.Errorf("by variable: %v", err)
	}
}

func TestEmptyMeansTheDefault(t *testing.T) {
	home(t)
	dir := written(t, "archive:\n  dir: ''\n  sources:\ncache:\ncatalog: store\npolicy.mode: ''\n")
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, name := range []string{"cache-dir", "catalog", "cache-limit"} {
		flags.String(name, "", "")
	}
	if err := flags.Parse([]string{"--cache-dir", "", "--catalog=", "--cache-limit="}); err != nil {
		t.Fatal(err)
	}
	p, err := project.Open(project.Options{Dir: dir, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Config
	if c.Archive.Dir != filepath.Join(dir, ".imgbuild/archive") || c.Catalog != filepath.Join(dir, ".imgbuild/catalog") ||
		!filepath.IsAbs(c.Cache.Dir) || c.Cache.LimitBytes != 20<<30 || len(c.Archive.Sources) > 0 {
		t.Errorf("got %+v", c)
	}
}

func TestADirectoryMayBeNamedLikeAHost(t *testing.T) {
	home(t)
	dir := written(t, "catalog: v1.2/store\n")
	if err := os.Mkdir(filepath.Join(dir, "v1.2"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, written(t, "catalog: ./v1.2/store\n")} {
		p, err := project.Open(project.Options{Dir: d})
		if err != nil || p.Config.Catalog != filepath.Join(d, "v1.2/store") {
			t.Errorf("%v", err)
		}
	}
}

func TestMisspeltVariablesAreFound(t *testing.T) {
	home(t)
	t.Setenv("IMGBUILD_MIROR", "x")
	t.Setenv("IMGBUILD_SANDBOX_ENTERED", "root")
	t.Setenv("IMGBUILD_KEY_PASSWORD", "x")
	want := []project.Slip{{Name: "IMGBUILD_MIROR", Meant: "IMGBUILD_MIRROR"}}
	if got := project.Slips(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWithoutAProjectTheUsersDirectoriesServe(t *testing.T) {
	dir := home(t)
	p, err := project.Open(project.Options{WorkDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if p.Dir != "" {
		t.Fatalf("found a project in %s", p.Dir)
	}
	if want := filepath.Join(dir, ".local/share/imgbuild/archive"); p.Config.Archive.Dir != want {
		t.Errorf("archive: got %s, want %s", p.Config.Archive.Dir, want)
	}
	key, made, err := p.SigningKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if made == nil || made.SigningID != key.Public().ID() {
		t.Errorf("the keys made on first need are not told of: %+v", made)
	}
	again, made, err := p.SigningKey(nil)
	if err != nil || made != nil || again.Public().ID() != key.Public().ID() {
		t.Errorf("the second time: made %+v, error %v", made, err)
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil || len(trust.Keys()) != 1 {
		t.Errorf("the user's own key is not trusted: %v, %v", trust, err)
	}
}

func TestInitMakesAProjectThatOpens(t *testing.T) {
	userHome := home(t)
	dir := filepath.Join(t.TempDir(), "acme")
	created, err := project.Init(dir, project.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := project.Open(project.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.SigningKey(nil); err != nil {
		t.Errorf("opening the new key: %v", err)
	}
	if trust, err := p.Trust(p.Config.Catalog); err != nil || len(trust.Keys()) != 1 {
		t.Errorf("trust: %v, %v", trust, err)
	}
	info, err := os.Stat(created.Keys.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 || !strings.HasPrefix(created.Keys.PasswordFile, userHome) {
		t.Errorf("the made-up password: %s, mode %s", created.Keys.PasswordFile, info.Mode())
	}
	password, err := os.ReadFile(created.Keys.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, bytes.TrimSpace(password)) {
			t.Errorf("%s holds the password", path)
		}
		if strings.HasSuffix(path, ".key") {
			if info, err := entry.Info(); err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := project.Init(dir, project.Options{}, nil); fault.KindOf(err) != fault.Input {
		t.Errorf("a second init: %v", err)
	}
}

func TestThePasswordComesFromWhereTheUserPutIt(t *testing.T) {
	home(t)
	dir := filepath.Join(t.TempDir(), "acme")
	t.Setenv(project.PasswordVariable, "from the environment")
	created, err := project.Init(dir, project.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if created.Keys.PasswordFile != "" {
		t.Errorf("a given password was written to %s", created.Keys.PasswordFile)
	}
	p, err := project.Open(project.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.SigningKey(nil); err != nil {
		t.Errorf("by variable: %v", err)
	}
	t.Setenv(project.PasswordVariable, "")
	if _, _, err := p.SigningKey(nil); fault.KindOf(err) != fault.Input || !strings.Contains(fault.HintOf(err), project.PasswordVariable) {
		t.Errorf("nobody to ask: %v, hint %q", err, fault.HintOf(err))
	}
	asked := func(string) ([]byte, error) { return []byte("from the environment"), nil }
	if _, _, err := p.SigningKey(asked); err != nil {
		t.Errorf("by a person: %v", err)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from the environment\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Config.KeyPasswordFile = file
	if _, _, err := p.SigningKey(nil); err != nil {
		t.Errorf("by file: %v", err)
	}
}
