package project_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imgbuild/builder/project"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

const (
	imageDigest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	later       = time.Hour
)

var rotation = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// owners are the two who have keys: a project, and a user without one. Each
// makes them in a home and returns how to open what is in it.
var owners = map[string]func(t *testing.T, home string) func(home string) *project.Project{
	"project": func(t *testing.T, home string) func(string) *project.Project {
		if _, err := project.Init(filepath.Join(home, "acme"), project.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		return func(home string) *project.Project {
			return opened(t, project.Options{Dir: filepath.Join(home, "acme")})
		}
	},
	"user": func(t *testing.T, home string) func(string) *project.Project {
		open := func(home string) *project.Project { return opened(t, project.Options{WorkDir: home}) }
		if _, _, err := open(home).SigningKey(nil); err != nil {
			t.Fatal(err)
		}
		return open
	},
}

func opened(t *testing.T, o project.Options) *project.Project {
	t.Helper()
	p, err := project.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func signed(t *testing.T, p *project.Project, at time.Time) signing.ImageSignature {
	t.Helper()
	key, _, err := p.SigningKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signing.SignImage(context.Background(), "web", imageDigest, at, key)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func verified(t *testing.T, p *project.Project, signature signing.ImageSignature) error {
	t.Helper()
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return err
	}
	_, err = signing.VerifyImage(context.Background(), imageDigest, []signing.ImageSignature{signature}, trust)
	return err
}

func TestRotationKeepsWhatTheOldKeySigned(t *testing.T) {
	for who, owner := range owners {
		t.Run(who, func(t *testing.T) {
			dir := home(t)
			open := owner(t, dir)
			before, after := signed(t, open(dir), rotation), signed(t, open(dir), rotation.Add(time.Second))
			for i := range 2 {
				rotated, err := open(dir).RotateKeys(nil, rotation.Add(time.Duration(i)*later))
				if err != nil {
					t.Fatal(err)
				}
				p := open(dir)
				if err := verified(t, p, before); err != nil {
					t.Errorf("rotation %d: what the old key signed: %v", i, err)
				}
				if err := verified(t, p, after); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "ended") {
					t.Errorf("rotation %d: what the old key signed after its end: %v", i, err)
				}
				if err := verified(t, p, signed(t, p, rotation.Add(2*later))); err != nil {
					t.Errorf("rotation %d: what the new key signed: %v", i, err)
				}
				if key, _, err := p.SigningKey(nil); err != nil || key.Public().ID() != rotated.Keys.SigningID {
					t.Errorf("rotation %d: the new key is not in place: %v", i, err)
				}
			}
			checkKeyFiles(t, open(dir).KeysDir(), 2)
		})
	}
}

// checkKeyFiles checks that the private keys are those in place and no other,
// and that a former key's public part is kept for each rotation.
func checkKeyFiles(t *testing.T, dir string, rotations int) {
	t.Helper()
	var private, former []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		relative := strings.TrimPrefix(path, dir+"/")
		switch {
		case strings.HasSuffix(path, ".key"):
			private = append(private, relative)
		case strings.HasPrefix(relative, "retired-") && strings.Contains(relative, "/"):
			former = append(former, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(private, []string{"openpgp.key", "signing.key"}) {
		t.Errorf("private keys: %v", private)
	}
	if len(former) != 2*rotations {
		t.Errorf("former public keys: %v, want two for each of %d rotations", former, rotations)
	}
}

// TestAnInterruptedRotationGoesOn goes on from what is there after each step.
func TestAnInterruptedRotationGoesOn(t *testing.T) {
	for who, owner := range owners {
		t.Run(who, func(t *testing.T) {
			dir := home(t)
			open := owner(t, dir)
			before := signed(t, open(dir), rotation.Add(-later))
			err := open(dir).RotateWatched(rotation, func(step int) {
				dir := copied(t, dir)
				p := open(dir)
				if err := verified(t, p, before); err != nil {
					t.Errorf("after step %d: what was signed before: %v", step, err)
				}
				// Whatever can be signed can be verified, then and later.
				between, rotations := before, 1
				if _, _, err := p.SigningKey(nil); err == nil {
					between = signed(t, p, rotation.Add(time.Minute))
					if step > 0 {
						rotations = 2 // the first has come to its end
					}
				} else if fault.KindOf(err) != fault.Input || !strings.Contains(fault.HintOf(err), "--rotate-keys") {
					t.Errorf("after step %d: signing: %v, hint %q", step, err, fault.HintOf(err))
				}
				if err := verified(t, p, between); err != nil {
					t.Errorf("after step %d: what was signed then: %v", step, err)
				}
				if _, err := p.RotateKeys(nil, rotation.Add(later)); err != nil {
					t.Fatalf("going on after step %d: %v", step, err)
				}
				p = open(dir)
				for _, signature := range []signing.ImageSignature{before, between, signed(t, p, rotation.Add(2*later))} {
					if err := verified(t, p, signature); err != nil {
						t.Errorf("gone on after step %d: %v", step, err)
					}
				}
				checkKeyFiles(t, p.KeysDir(), rotations)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// copied is a home with the same files.
func copied(t *testing.T, from string) string {
	t.Helper()
	to := home(t)
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestTheFirstKeysAreMadeToTheirEnd(t *testing.T) {
	dir := home(t)
	err := opened(t, project.Options{WorkDir: dir}).MakeKeysWatched(rotation, func(step int) {
		dir := copied(t, dir)
		p := opened(t, project.Options{WorkDir: dir})
		if err := verified(t, p, signed(t, p, rotation)); err != nil {
			t.Errorf("after step %d: %v", step, err)
		}
		checkKeyFiles(t, p.KeysDir(), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTheFirstKeysAreMadeOnce has several need them at once: they get the same
// ones, and what each signs counts.
func TestTheFirstKeysAreMadeOnce(t *testing.T) {
	dir := home(t)
	var group sync.WaitGroup
	signatures := make([]signing.ImageSignature, 4)
	for i := range signatures {
		p := opened(t, project.Options{WorkDir: dir})
		group.Go(func() {
			key, _, err := p.SigningKey(nil)
			if err == nil {
				signatures[i], err = signing.SignImage(context.Background(), "web", imageDigest, time.Now(), key)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	p := opened(t, project.Options{WorkDir: dir})
	for i, signature := range signatures {
		if err := verified(t, p, signature); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	checkKeyFiles(t, p.KeysDir(), 0)
}

func TestAStepThatFailsIsDoneByTheNextRotation(t *testing.T) {
	dir := home(t)
	open := owners["project"](t, dir)
	before := signed(t, open(dir), rotation)
	p := open(dir)
	obstacle := filepath.Join(p.KeysDir(), "retired-20260301T120000Z", "openpgp.asc")
	if err := os.MkdirAll(obstacle, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := p.RotateKeys(nil, rotation); err == nil || !strings.Contains(fault.HintOf(err), "--rotate-keys "+p.Dir) {
		t.Errorf("a folder where the old key goes: %v, hint %q", err, fault.HintOf(err))
	}
	if err := verified(t, open(dir), before); err != nil {
		t.Errorf("what was signed before: %v", err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	nobody := func(string) ([]byte, error) { t.Error("a password is asked for again"); return nil, nil }
	if _, err := open(dir).RotateKeys(nobody, rotation.Add(later)); err != nil {
		t.Fatal(err)
	}
	if err := verified(t, open(dir), before); err != nil {
		t.Errorf("in the end: %v", err)
	}
	checkKeyFiles(t, p.KeysDir(), 1)
}

func TestARotationThatCannotEndDoesNotBegin(t *testing.T) {
	dir := home(t)
	p := owners["project"](t, dir)(dir)
	for name, c := range map[string]struct{ yaml, message, hint string }{
		"no trust":      {"policy:\n  mode: open\n", "does not list the project's own key", "key: keys/signing.pub"},
		"another's key": {"trust:\n  - name: partner\n    key: partner.pub\n", "does not list the project's own key", "key: keys/signing.pub"},
		"on one line":   {"trust: [{name: us, key: keys/signing.pub}]\n", `no line "trust:"`, "one key a line"},
		"withdrawn":     {"trust:\n  - name: us\n    key: keys/signing.pub\n    withdrawn: stolen\n", `entry "us"`, "rotate"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(p.File, []byte(c.yaml), 0o644); err != nil {
				t.Fatal(err)
			}
			had := contents(t, p.Dir)
			_, err := opened(t, project.Options{Dir: p.Dir}).RotateKeys(nil, rotation)
			if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), c.message) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("got %v, hint %q", err, fault.HintOf(err))
			}
			if got := contents(t, p.Dir); got != had {
				t.Errorf("something was changed:\n%s\nbefore:\n%s", got, had)
			}
		})
	}
	t.Run("nobody's", func(t *testing.T) {
		home(t)
		_, err := opened(t, project.Options{WorkDir: t.TempDir()}).RotateKeys(nil, rotation)
		if fault.KindOf(err) != fault.Input || !strings.Contains(fault.HintOf(err), "DIR") {
			t.Errorf("got %v, hint %q", err, fault.HintOf(err))
		}
	})
}

// contents is every file below dir with its text.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		out.WriteString(path + "\n")
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRotationLeavesTheSettingsAsTheyAreWritten(t *testing.T) {
	dir := home(t)
	p := owners["project"](t, dir)(dir)
	const before = "trust: # ours\n\n- name: us\n  key: keys/signing.pub\n  catalog: store\n# the end"
	const after = "trust: # ours\n- name: until 2026-03-01T12:00:00Z\n  key: keys/retired-20260301T120000Z/signing.pub\n" +
		"  catalog: store\n  not-after: 2026-03-01T12:00:00Z\n\n- name: us\n  key: keys/signing.pub\n  catalog: store\n# the end"
	if err := os.WriteFile(p.File, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, project.Options{Dir: p.Dir}).RotateKeys(nil, rotation); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(p.File)
	if err != nil || string(got) != after {
		t.Errorf("%v, got:\n%s\nwant:\n%s", err, got, after)
	}
	trust, err := opened(t, project.Options{Dir: p.Dir}).Trust(filepath.Join(p.Dir, "store"))
	if err != nil || len(trust.Keys()) != 2 {
		t.Errorf("trust: %v, %v", trust, err)
	}
}
