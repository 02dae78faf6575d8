package compare

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"imgbuild/provisioners/account"
	"imgbuild/provisioners/service"
)

// shown is how many names one line lists of what the server lacks, and how many
// lines a section has at most; a document has all.
const (
	shown    = 12
	maxLines = 200
)

// Table writes a difference for a terminal: what the server has more or
// otherwise line by line, what it lacks in a line a section.
func Table(w io.Writer, d *Difference) {
	fmt.Fprintf(w, "%s (%s) and %s (%s)\n", plain(d.Server), plain(d.ServerPlatform), plain(d.Image), plain(d.ImagePlatform))
	fmt.Fprintln(w, "+ the server has and the image lacks, ~ both have and not alike, - the server lacks")
	var alike []string
	for _, s := range d.Compared {
		t := &section{w: w, name: string(s)}
		switch s {
		case Packages:
			d.writePackages(t)
		case Users:
			d.writeUsers(t)
		case Files:
			d.writeFiles(t)
		case Services:
			d.writeServices(t)
		case Ports:
			d.writePorts(t)
		case Jobs:
			d.writeJobs(t)
		}
		if t.end(); t.lines == 0 {
			alike = append(alike, t.name)
		}
	}
	if len(alike) > 0 {
		fmt.Fprintf(w, "\nalike: %s\n", strings.Join(alike, ", "))
	}
	if d.Recipe != "" {
		fmt.Fprintf(w, "\nin a recipe, the packages that somebody chose on the server:\n%s", d.Recipe)
	}
}

// section writes one kind of thing.
type section struct {
	w       io.Writer
	name    string
	lines   int
	missing []string
}

// line writes what the server has more or otherwise.
func (t *section) line(kind Kind, format string, args ...any) {
	if t.lines++; t.lines == 1 {
		fmt.Fprintf(t.w, "\n%s\n", t.name)
	}
	if t.lines <= maxLines {
		fmt.Fprintf(t.w, "  %s %s\n", map[Kind]string{Added: "+", Changed: "~", Missing: "-"}[kind], plain(fmt.Sprintf(format, args...)))
	}
}

// lacks notes what the server has not.
func (t *section) lacks(name string) { t.missing = append(t.missing, name) }

func (t *section) end() {
	if t.lines > maxLines {
		fmt.Fprintf(t.w, "    and %d more: --output json has all\n", t.lines-maxLines)
	}
	if len(t.missing) > 0 {
		t.lines = min(t.lines, maxLines-1)
		t.line(Missing, "%s", few(t.missing))
	}
}

// few are the first of some names.
func few(names []string) string {
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// plain is a text without what would command a terminal: the server has a say in
// it.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func (d *Difference) writePackages(t *section) {
	automatic, base := 0, []string(nil)
	for _, p := range d.Packages {
		switch {
		case p.Kind == Missing:
			t.lacks(p.Name)
		case p.Kind == Changed:
			t.line(Changed, "%s %s, in the image %s (the %s's is newer)", p.Name, p.Server, p.Image, p.Newer)
		case p.Chosen && !p.Base:
			t.line(Added, "%s %s", p.Name, p.Server)
		case p.Chosen:
			base = append(base, p.Name)
		default:
			automatic++
		}
	}
	if len(base) > 0 {
		t.line(Added, "of Debian's base system: %s", strings.Join(base, ", "))
	}
	if automatic > 0 {
		t.line(Added, "and %d that are there because others need them", automatic)
	}
}

func (d *Difference) writeUsers(t *section) {
	own, numbers := map[string]bool{}, []string(nil)
	for _, u := range d.Users {
		switch u.Kind {
		case Missing:
			t.lacks("user " + u.Name)
			own[u.Image.Group] = u.Image.Group == u.Name
		case Added:
			t.line(Added, "user %s: %s", u.Name, describe(u.Server))
			own[u.Server.Group] = u.Server.Group == u.Name
		case Changed:
			fields := userFields(u.Server, u.Image)
			if len(fields) == 1 && fields[0].Name == "uid" {
				numbers = append(numbers, fmt.Sprintf("user %s %s (in the image %s)", u.Name, fields[0].Server, fields[0].Image))
				continue
			}
			t.line(Changed, "user %s: %s", u.Name, fieldsOf(fields))
		}
	}
	for _, g := range d.Groups {
		switch {
		case own[g.Name]: // of a user of that name
		case g.Kind == Missing:
			t.lacks("group " + g.Name)
		case g.Kind == Added:
			t.line(Added, "group %s: gid %d", g.Name, g.Server.GID)
		default:
			numbers = append(numbers, fmt.Sprintf("group %s %d (in the image %d)", g.Name, g.Server.GID, g.Image.GID))
		}
	}
	if len(numbers) > 0 {
		t.line(Changed, "other numbers: %s", strings.Join(numbers, ", "))
	}
}

// firstPerson is the least uid that Debian gives to people (Debian Policy 9.2.2).
const firstPerson = 1000

func describe(u *account.Listed) string {
	text := fmt.Sprintf("uid %d, home %s, shell %s", u.UID, u.Home, u.Shell)
	if u.UID < firstPerson {
		text = "of a service, " + text
	}
	if u.Group != u.Name {
		text += ", group " + u.Group
	}
	if len(u.Groups) > 0 {
		text += ", also in " + strings.Join(u.Groups, " ")
	}
	if u.Password != account.PasswordLocked {
		text += ", password " + u.Password
	}
	return text
}

func fieldsOf(fields []Field) string {
	var list []string
	for _, f := range fields {
		list = append(list, fmt.Sprintf("%s %s, in the image %s", f.Name, orNone(f.Server), orNone(f.Image)))
	}
	return strings.Join(list, "; ")
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func (d *Difference) writeFiles(t *section) {
	derived, recipes := 0, []string(nil)
	for _, f := range folded(d.Files) {
		name := "/" + f.Path
		if f.Directory {
			name += "/"
		}
		switch {
		case f.Origin == Derived:
			derived++
		case f.Kind == Missing && f.Why == "":
			t.lacks(name)
		case f.Why == whyImage && len(f.Fields) > 0 && f.Fields[0].Name == "sha256":
			recipes = append(recipes, name)
		default:
			t.line(f.Kind, "%s%s", name, f.remark())
		}
	}
	if derived > 0 {
		t.line(Changed, "and %d that scripts of packages made", derived)
	}
	if len(recipes) > 0 {
		t.line(Changed, "changed in the image alone: %s", few(recipes))
	}
}

// folded puts the files of a directory that only the server has into one entry;
// a file alone there is told by its own name.
func folded(list []File) []folder {
	inside := map[string]int{}
	for _, f := range list {
		if f.Within != "" {
			inside[f.Within]++
		}
	}
	var out []folder
	heads := map[string]int{}
	for _, f := range list {
		if f.Within == "" || inside[f.Within] == 1 {
			out = append(out, folder{File: f})
			continue
		}
		at, known := heads[f.Within]
		if !known {
			at = len(out)
			heads[f.Within] = at
			out = append(out, folder{File: File{Kind: Added, Path: f.Within, Origin: HandMade, Directory: true}, count: inside[f.Within]})
		}
		out[at].Size += f.Size
	}
	return out
}

// folder is a file, or a directory with count files of Size bytes together.
type folder struct {
	File
	count int
}

// remark is what else is to be said of a file.
func (f folder) remark() string {
	var list []string
	if f.count > 0 {
		list = append(list, fmt.Sprintf("%d files, %d bytes", f.count, f.Size))
	}
	if f.Package != "" {
		list = append(list, fmt.Sprintf("%s of %s", map[Origin]string{Conffile: "conffile", Packaged: "file"}[f.Origin], f.Package))
	}
	if f.Why != "" {
		list = append(list, f.Why)
	}
	var told []Field
	for _, field := range f.Fields {
		if field.Name != "sha256" && field.Name != "device" {
			told = append(told, field)
		}
	}
	if len(told) > 0 {
		list = append(list, fieldsOf(told))
	}
	retyped := len(told) > 0 && told[0].Name == "type"
	if len(told) < len(f.Fields) && f.Why == "" && !retyped {
		list = append(list, "another content")
	}
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, ", ")
}

func (d *Difference) writeServices(t *section) {
	for _, u := range d.Services {
		of := ""
		if u.Package != "" {
			of = " (of " + u.Package + ")"
		}
		switch u.Kind {
		case Missing:
			t.lacks(u.Name + " " + u.Image.State)
		case Added:
			t.line(Added, "%s %s%s", u.Name, stateOf(u.Server), of)
		case Changed:
			t.line(Changed, "%s %s, in the image %s%s", u.Name, stateOf(u.Server), stateOf(u.Image), of)
		}
	}
}

func stateOf(u *service.Listed) string {
	if len(u.By) == 0 || u.State == "masked" {
		return u.State
	}
	var by, names []string
	for _, one := range u.By {
		if name, alias := strings.CutPrefix(one, "alias "); alias {
			names = append(names, name)
		} else {
			by = append(by, one)
		}
	}
	text := u.State
	if len(by) > 0 {
		text += " for " + strings.Join(by, " and ")
	}
	if len(names) > 0 {
		text += ", also called " + strings.Join(names, " and ")
	}
	return text
}

func (d *Difference) writePorts(t *section) {
	for _, p := range d.Ports {
		who := "nobody is known to have it open"
		if p.Process != "" {
			who = p.Process
			if p.Unit != "" {
				who += " of " + p.Unit
			}
		}
		t.line(Added, "%s port %d on %s: %s; %s", p.Protocol, p.Port.Port, p.Address, who, p.Why)
	}
}

func (d *Difference) writeJobs(t *section) {
	packaged := 0
	for _, j := range d.Jobs {
		switch {
		case j.Kind == Missing:
			t.lacks("/" + j.File)
		case j.Package != "" && !j.Altered:
			packaged++
		case j.When == "":
			t.line(j.Kind, "/%s has a line that is no job", j.File)
		default:
			t.line(j.Kind, "/%s: %s, %s as %s", j.File, j.When, j.Program, j.User)
		}
	}
	if packaged > 0 {
		t.line(Added, "and %d that further packages brought", packaged)
	}
}
