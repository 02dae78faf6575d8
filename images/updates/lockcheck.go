package updates

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The forms that the strings of a lock have. What a lock says is used in
// paths, commands and reports, so nothing else is let in.
var (
	baselineForm     = form(128, `^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
	archiveForm      = baselineForm
	urlForm          = form(1000, `^[a-z]+://[A-Za-z0-9._+~:%@,=/;$\[\]-]*$`)
	suiteForm        = form(128, `^[A-Za-z0-9][A-Za-z0-9._+/-]*$`)
	architectureForm = form(40, `^[a-z0-9][a-z0-9-]*$`)
	packageForm      = form(200, `^[A-Za-z0-9][A-Za-z0-9+._-]*$`)
	versionForm      = form(500, `^([0-9]+:)?[A-Za-z0-9.+~_:-]+$`)
	accountForm      = form(65, `^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)
	pathForm         = form(1000, `^[A-Za-z0-9._+~:%@,=/-]+$`)
)

// boundedForm is a form of strings with a greatest length in bytes. Counted in the
// expression itself, that would cost every start of the program milliseconds.
type boundedForm struct {
	most       int
	expression *regexp.Regexp
}

func form(most int, expression string) boundedForm {
	return boundedForm{most, regexp.MustCompile(expression)}
}

// MatchString tells whether s has the form.
func (b boundedForm) MatchString(s string) bool {
	return len(s) <= b.most && b.expression.MatchString(s)
}

// maxID is the highest number of a user or group, 4294967295 being no number.
const maxID = 1<<32 - 2

// Check finds the first thing that no lock may say.
func (l *Lock) Check() error {
	switch {
	case l.Format != LockFormat:
		return fmt.Errorf("format %d is not the known format %d", l.Format, LockFormat)
	case !baselineForm.MatchString(l.Baseline):
		return fmt.Errorf("%.80q is no baseline's name", l.Baseline)
	case !architectureForm.MatchString(l.Architecture):
		return fmt.Errorf("%.80q is no architecture", l.Architecture)
	case !suiteForm.MatchString(l.Suite):
		return fmt.Errorf("%.80q is no suite", l.Suite)
	case l.Request != "" && !validSum(l.Request):
		return fmt.Errorf("request %.80q is not a SHA-256 digest", l.Request)
	case l.Epoch < 0:
		return fmt.Errorf("epoch %d is before 1970", l.Epoch)
	}
	known := map[string]bool{}
	for _, r := range l.Releases {
		if err := r.check(); err != nil {
			return fmt.Errorf("release %.80q: %w", r.Suite, err)
		}
		known[r.Archive+" "+r.Suite] = true
	}
	for i, layer := range l.Layers {
		if !baselineForm.MatchString(layer) || slices.Contains(l.Layers[:i], layer) {
			return fmt.Errorf("layer %.80q is no name or named twice", layer)
		}
	}
	for i := range l.Packages {
		p := &l.Packages[i]
		if err := l.checkPackage(p); err != nil {
			return fmt.Errorf("package %.80q: %w", p.Name, err)
		}
		if i > 0 && !before(&l.Packages[i-1], p) {
			return fmt.Errorf("package %s of set %s is out of order or named twice", p.Name, p.Set)
		}
	}
	names := map[string]bool{}
	for _, a := range l.Accounts {
		if err := l.checkAccount(a); err != nil {
			return fmt.Errorf("account %.80q: %w", a.Name, err)
		}
		if names[a.Name] {
			return fmt.Errorf("account %s is named twice", a.Name)
		}
		names[a.Name] = true
	}
	return nil
}

func (r *Release) check() error {
	switch {
	case !archiveForm.MatchString(r.Archive):
		return fmt.Errorf("%.80q is no archive's name", r.Archive)
	case hasPassword(r.URL):
		return fmt.Errorf("its URL has a password, which a lock shows to everybody")
	case r.URL != "" && !urlForm.MatchString(r.URL):
		return fmt.Errorf("%.80q is no URL of a repository", r.URL)
	case !suiteForm.MatchString(r.Suite) || !isCleanPath(r.Suite):
		return fmt.Errorf("%.80q is no suite", r.Suite)
	case !isCleanPath(r.Path):
		return fmt.Errorf("%.80q is no path inside the archive", r.Path)
	case !validSum(r.SHA256):
		return fmt.Errorf("%.80q is no SHA-256 digest", r.SHA256)
	}
	if date, err := time.Parse(time.RFC3339, r.Date); err != nil || date.UTC().Format(time.RFC3339) != r.Date {
		return fmt.Errorf("%.80q is no date in UTC", r.Date)
	}
	return nil
}

func hasPassword(url string) bool {
	_, rest, _ := strings.Cut(url, "://")
	authority, _, _ := strings.Cut(rest, "/")
	at := strings.LastIndex(authority, "@")
	return at >= 0 && strings.Contains(authority[:at], ":")
}

func (l *Lock) checkPackage(p *Package) error {
	switch {
	case p.Architecture != l.Architecture && p.Architecture != "all":
		return fmt.Errorf("its architecture %.80q is not %s", p.Architecture, l.Architecture)
	case p.Set != Root && p.Set != Boot && p.Set != Tools:
		return fmt.Errorf("%.80q is no set", p.Set)
	case p.Set == Tools && p.Layer != "":
		return fmt.Errorf("the tools have no layer")
	case p.Set != Tools && !slices.Contains(l.Layers, p.Layer):
		return fmt.Errorf("there is no layer %.80q", p.Layer)
	}
	return p.CheckFile()
}

// CheckFile finds the first thing that no lock may say of a package's file, whatever
// it is for there.
func (p *Package) CheckFile() error {
	switch {
	case !packageForm.MatchString(p.Name):
		return fmt.Errorf("it is no package's name")
	case !packageForm.MatchString(p.Source):
		return fmt.Errorf("%.80q is no source package", p.Source)
	case !versionForm.MatchString(p.Version):
		return fmt.Errorf("%.80q is no version", p.Version)
	case !versionForm.MatchString(p.SourceVersion):
		return fmt.Errorf("%.80q is no version", p.SourceVersion)
	case !architectureForm.MatchString(p.Architecture):
		return fmt.Errorf("%.80q is no architecture", p.Architecture)
	case (p.Archive == "") != (p.Suite == ""):
		return fmt.Errorf("archive and suite go together")
	case p.Archive != "" && (!archiveForm.MatchString(p.Archive) || !suiteForm.MatchString(p.Suite) || !isCleanPath(p.Suite)):
		return fmt.Errorf("%.80q of %.80q is no suite", p.Suite, p.Archive)
	case !isCleanPath(p.Path) && (p.Archive != "" || !isProjectPath(p.Path)):
		return fmt.Errorf("%.80q is no path inside the archive", p.Path)
	case p.Size <= 0:
		return fmt.Errorf("size %d is no file's", p.Size)
	case !validSum(p.SHA256):
		return fmt.Errorf("%.80q is no SHA-256 digest", p.SHA256)
	}
	return nil
}

func (l *Lock) checkAccount(a Account) error {
	if !accountForm.MatchString(a.Name) {
		return fmt.Errorf("it is no user's or group's name")
	}
	if !l.HasAccountsOf(a.Layer) {
		return fmt.Errorf("there is no layer %.80q", a.Layer)
	}
	if a.UID == nil && a.GID == nil {
		return fmt.Errorf("it has no number")
	}
	for _, id := range []*int{a.UID, a.GID} {
		if id != nil && (*id < 0 || *id > maxID) {
			return fmt.Errorf("%d is no number of a user or group", *id)
		}
	}
	return nil
}

// before is the order of the packages in a lock.
func before(a, b *Package) bool {
	if a.Set != b.Set {
		return a.Set == Root || a.Set == Boot && b.Set == Tools
	}
	if a.Name != b.Name {
		return a.Name < b.Name
	}
	return a.Architecture < b.Architecture
}

// isCleanPath holds for a relative path that stays below its root.
func isCleanPath(p string) bool {
	return pathForm.MatchString(p) && path.Clean(p) == p && p[0] != '/' && p != "." && p != ".." && !strings.HasPrefix(p, "../")
}

// isProjectPath holds for a clean relative path that may begin with "../": a
// recipe may lie beside the files that it takes.
func isProjectPath(p string) bool {
	return pathForm.MatchString(p) && path.Clean(p) == p && p[0] != '/' && path.Base(p) != ".." && p != "."
}
