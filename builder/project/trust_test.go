package project_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/builder/project"
	"imgbuild/images/fault"
)

func TestAKeyCountsInItsCatalogAlone(t *testing.T) {
	dir := home(t)
	p := owners["project"](t, dir)(dir)
	signature := signed(t, p, rotation)
	places := []string{p.Config.Catalog, filepath.Join(p.Dir, "store"), "docker://registry.example/images"}
	for written, counts := range map[string][]string{
		"''": places, "store": places[1:2], "docker://registry.example/images": places[2:], "elsewhere": nil,
	} {
		yaml := "trust:\n  - name: us\n    key: keys/signing.pub\n    catalog: " + written + "\n"
		if err := os.WriteFile(p.File, []byte(yaml), 0o644); err != nil {
			t.Fatal(err)
		}
		p := opened(t, project.Options{Dir: p.Dir})
		for _, place := range places {
			p.Config.Catalog = place
			err := verified(t, p, signature)
			if slices.Contains(counts, place) {
				if err != nil {
					t.Errorf("catalog: %s, at %s: %v", written, place, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), "no public key is trusted") {
				t.Errorf("catalog: %s, at %s: got %v, want that nobody is trusted", written, place, err)
			}
		}
	}
}

// A key of who sends bundles makes no image and no record count here.
func TestAKeyForBundlesCountsForNothingElse(t *testing.T) {
	dir := home(t)
	p := owners["project"](t, dir)(dir)
	signature := signed(t, p, rotation)
	with := func(purpose string) *project.Project {
		yaml := "trust:\n  - {name: us, key: keys/signing.pub, for: " + purpose + "}\n"
		if err := os.WriteFile(p.File, []byte(yaml), 0o644); err != nil {
			t.Fatal(err)
		}
		return opened(t, project.Options{Dir: p.Dir})
	}
	p = with("bundles")
	if err := verified(t, p, signature); err == nil || !strings.Contains(err.Error(), "no public key is trusted") {
		t.Errorf("it counts for images: %v", err)
	}
	trust, err := p.BundleTrust()
	if err != nil || len(trust.Keys()) != 1 {
		t.Errorf("%d keys count for bundles, %v", len(trust.Keys()), err)
	}
	records, err := p.Records()
	if err != nil || len(records.Roster.Members()) != 0 {
		t.Errorf("%d keys count for records, %v", len(records.Roster.Members()), err)
	}
	if _, err := with("bundels").BundleTrust(); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), `for: "bundels" is no purpose`) {
		t.Errorf("a purpose that there is not: %v", err)
	}
}

func TestAKeysEndAndWithdrawalAreReadFromTheSettings(t *testing.T) {
	dir := home(t)
	p := owners["project"](t, dir)(dir)
	signature := signed(t, p, rotation)
	for _, c := range []struct {
		entry, message string
		kind           fault.Kind
	}{
		{"not-after: 2026-03-01T12:00:00Z", "", 0},
		{"not-after: '2026-03-01T13:00:00+01:00'", "", 0},
		{"not-after: 2026-03-01T11:59:59Z", `key "us" (`, fault.World},
		{"withdrawn: the laptop was stolen", "is withdrawn: the laptop was stolen", fault.World},
		{"withdrawn: stolen\n    not-after: 2027-01-01T00:00:00Z", "is withdrawn: stolen", fault.World},
		{"not-after: soon", `trust: entry 1: not-after: "soon" is no time`, fault.Input},
	} {
		yaml := "trust:\n  - name: us\n    key: keys/signing.pub\n    " + c.entry + "\n"
		if err := os.WriteFile(p.File, []byte(yaml), 0o644); err != nil {
			t.Fatal(err)
		}
		err := verified(t, opened(t, project.Options{Dir: p.Dir}), signature)
		if fault.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: got %v, want %q", c.entry, err, c.message)
		}
	}
	for entry, message := range map[string]string{
		"name: us\n    key: keys/none.pub":    "trust: entry 1: reading a public key",
		"name: us":                            "trust: entry 1: it names no key: file",
		"name: us\n    key: keys/openpgp.asc": "keys/openpgp.asc",
	} {
		if err := os.WriteFile(p.File, []byte("trust:\n  - "+entry+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := verified(t, opened(t, project.Options{Dir: p.Dir}), signature); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), message) {
			t.Errorf("%q: got %v, want %q", entry, err, message)
		}
	}
}

func TestAUsersOwnListOfKeysCountsInstead(t *testing.T) {
	dir := home(t)
	open := owners["user"](t, dir)
	signature := signed(t, open(dir), rotation)
	settings := filepath.Join(dir, ".config", "imgbuild", project.FileName)
	if err := os.MkdirAll(filepath.Dir(settings), 0o755); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(open(dir).KeysDir(), "signing.pub")
	if err := os.WriteFile(settings, []byte("trust:\n  - name: me\n    key: "+own+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := open(dir).RotateKeys(nil, rotation); err != nil {
		t.Fatal(err)
	}
	if err := verified(t, open(dir), signature); err != nil {
		t.Errorf("listed, and rotated out: %v", err)
	}
	if err := verified(t, open(dir), signed(t, open(dir), rotation.Add(later))); err != nil {
		t.Errorf("the new key: %v", err)
	}
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	withdrawn := strings.Replace(string(text), "not-after:", "withdrawn: lost\n    not-after:", 1)
	if err := os.WriteFile(settings, []byte(withdrawn), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := verified(t, open(dir), signature); err == nil || !strings.Contains(err.Error(), "is withdrawn: lost") {
		t.Errorf("withdrawn: %v", err)
	}
}

// answers returns what asks a person who types these, and what they were asked.
func answers(typed ...string) (project.Ask, *[]string) {
	var asked []string
	return func(prompt string) ([]byte, error) {
		asked = append(asked, prompt)
		if len(asked) > len(typed) {
			return nil, errors.New("the terminal is closed")
		}
		return []byte(typed[len(asked)-1]), nil
	}, &asked
}

func TestANewPasswordIsAskedForTwice(t *testing.T) {
	home(t)
	dir := filepath.Join(t.TempDir(), "acme")
	ask, asked := answers("secret", "secret")
	created, err := project.Init(dir, project.Options{}, ask)
	if err != nil {
		t.Fatal(err)
	}
	if len(*asked) != 2 || !strings.Contains((*asked)[0], "new signing keys") || !strings.Contains((*asked)[1], "again") {
		t.Errorf("asked: %q", *asked)
	}
	if created.Keys.PasswordFile != "" {
		t.Errorf("a typed password was written to %s", created.Keys.PasswordFile)
	}
	for password, kind := range map[string]fault.Kind{"secret": 0, "other": fault.Input} {
		ask, asked := answers(password)
		key, _, err := opened(t, project.Options{Dir: dir}).SigningKey(ask)
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Open(); fault.KindOf(err) != kind {
			t.Errorf("opened with %q: %v", password, err)
		}
		if len(*asked) != 1 {
			t.Errorf("asked: %q", *asked)
		}
	}
	ask, asked = answers("newer", "newer")
	if _, err := opened(t, project.Options{Dir: dir}).RotateKeys(ask, rotation); err != nil || len(*asked) != 2 {
		t.Errorf("rotating: %v, asked %q", err, *asked)
	}
	ask, _ = answers("newer")
	if key, _, err := opened(t, project.Options{Dir: dir}).SigningKey(ask); err != nil || key.Open() != nil {
		t.Errorf("the newer password does not open the newer key: %v", err)
	}
}

func TestAPasswordThatIsNotSetMakesNoKeys(t *testing.T) {
	home(t)
	for name, c := range map[string]struct {
		typed   []string
		kind    fault.Kind
		message string
	}{
		"typed differently": {[]string{"secret", "sceret"}, fault.Input, "the two differ"},
		"second forgotten":  {[]string{"secret", ""}, fault.Input, "the two differ"},
		"interrupted":       {[]string{"secret"}, fault.Failed, "the terminal is closed"},
		"not answered":      {nil, fault.Failed, "the terminal is closed"},
	} {
		dir := filepath.Join(t.TempDir(), "acme")
		ask, _ := answers(c.typed...)
		if _, err := project.Init(dir, project.Options{}, ask); fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: got %v, want %q", name, err, c.message)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was made: %v", name, err)
		}
	}
}

func TestAnEmptyPasswordIsMadeUpAndKept(t *testing.T) {
	home(t)
	dir := filepath.Join(t.TempDir(), "acme")
	ask, asked := answers("")
	created, err := project.Init(dir, project.Options{}, ask)
	if err != nil {
		t.Fatal(err)
	}
	if password, err := os.ReadFile(created.Keys.PasswordFile); err != nil || len(strings.TrimSpace(string(password))) < 20 || len(*asked) != 1 {
		t.Errorf("%q, %v, asked %q", password, err, *asked)
	}
	nobody := func(string) ([]byte, error) { t.Error("the kept password is asked for"); return nil, nil }
	if key, _, err := opened(t, project.Options{Dir: dir}).SigningKey(nobody); err != nil || key.Open() != nil {
		t.Errorf("the kept password does not open the key: %v", err)
	}
}
