package kernel

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

var (
	argumentName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	argumentValue = regexp.MustCompile(`^[A-Za-z0-9_.,:/=@%+-]{1,512}$`)
)

// maxMenu bounds GRUB's menu, in bytes.
const maxMenu = 4 << 20

// Argument is an argument on the command line of every kernel in GRUB's menu.
// Without any key it is a bare word: quiet. The kernel takes the last of several
// that have one name, and takes dashes in a name for underscores.
type Argument struct {
	Name string `json:"-"`
	term.Bounds
}

// NewArgument decodes the argument called e.Key; a text is its value.
func NewArgument(e node.Entry) (*Argument, error) {
	value := term.Short(e.Value)
	a := &Argument{Name: e.Key}
	p := &node.Problems{}
	p.Add(node.Decode(value, a))
	if !argumentName.MatchString(e.Key) {
		p.Addf(e.Pos, "%q is not the name of a kernel argument", e.Key)
	}
	for _, text := range a.Texts() {
		if !argumentValue.MatchString(string(text)) {
			p.Addf(value.Pos, "kernel argument %s: %q is empty, or holds a blank or a character that GRUB takes apart", e.Key, text)
		}
	}
	p.Add(a.CheckNumbers(value, argumentSense()))
	return a, p.Err()
}

// Validate checks the bounds, which a bare word has none of.
func (a *Argument) Validate(n *node.Node) error {
	if !a.Given() {
		return nil
	}
	return a.Bounds.Validate(n)
}

// argumentSense is how the kernel reads numbers: kstrtoll and its kin.
func argumentSense() term.Sense {
	return term.Sense{Measure: func(text string) ([]int64, bool) {
		n, err := strconv.ParseInt(text, 0, 64)
		return []int64{n}, err == nil
	}}
}

// Identity is the argument's, as the kernel compares names.
func (a *Argument) Identity() string { return "kernel argument " + underscore(a.Name) }

// Inputs is the name as it is written into the menu, for stage ids.
func (a *Argument) Inputs() any { return a.Name }

func underscore(name string) string { return strings.ReplaceAll(name, "-", "_") }

// named tells whether a word of a command line is this argument.
func (a *Argument) named(text string) bool {
	name, _, _ := strings.Cut(text, "=")
	return underscore(name) == underscore(a.Name)
}

// fits tells whether the words of a command line are in the state, and what is
// there instead.
func (a *Argument) fits(words []string) (have string, ok bool) {
	have = "absent"
	for _, w := range words {
		if w == "--" {
			break // the rest is for init
		}
		if a.named(w) {
			have = w
		}
	}
	_, value, valued := strings.Cut(have, "=")
	switch {
	case have == "absent" || a.Absent:
		return have, have == "absent" && a.Absent
	case !a.Given():
		return have, !valued
	}
	return have, valued && a.Holds(value, argumentSense())
}

// written is the argument as it is written where it does not fit.
func (a *Argument) written() (string, error) {
	if a.Absent || !a.Given() {
		return a.Name, nil
	}
	text, err := a.Write("", argumentSense())
	return a.Name + "=" + text, err
}

func (a *Argument) want() string {
	switch {
	case a.Absent:
		return "absent"
	case !a.Given():
		return a.Name
	}
	return a.Of(a.Name)
}

// plan tells how the menu differs and gives it as it should be. menu is "" when
// there is none.
func (a *Argument) plan(ctx context.Context, r system.Reader) (menu string, differences []system.Difference, err error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	menu, there, err := system.ReadText(r, MenuPath, maxMenu)
	if err != nil {
		return "", nil, err
	}
	if !there {
		return "", []system.Difference{{Subject: MenuPath, Have: "absent", Want: "a menu with " + a.want()}}, nil
	}
	lines, err := parseMenu(menu)
	if err != nil {
		return "", nil, fmt.Errorf("reading %s: %w", MenuPath, err)
	}
	if len(lines) == 0 {
		return "", []system.Difference{{Subject: MenuPath, Have: "without a kernel", Want: "a kernel with " + a.want()}}, nil
	}
	written, err := a.written()
	if err != nil {
		return "", nil, err
	}
	var edits []edit
	for _, l := range lines {
		have, ok := a.fits(texts(l.arguments))
		if ok {
			continue
		}
		differences = append(differences, system.Difference{
			Subject: fmt.Sprintf("%s:%d: %s", MenuPath, l.line, l.kernel.text), Have: have, Want: a.want(),
		})
		edits = append(edits, a.edits(menu, l, written)...)
	}
	return edited(menu, edits), differences, nil
}

func texts(words []word) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w.text
	}
	return list
}

// edit is a part of a text that is replaced.
type edit struct {
	start, end int
	by         string
}

// edited makes edits, which are in order, to a text.
func edited(text string, edits []edit) string {
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(text[at:e.start])
		b.WriteString(e.by)
		at = e.end
	}
	b.WriteString(text[at:])
	return b.String()
}

// edits bring one line into the state: the last argument of the name is
// replaced, since it counts, or one is added at the end of the kernel's.
func (a *Argument) edits(menu string, l kernelLine, written string) []edit {
	mine := l.arguments
	if i := slices.IndexFunc(mine, func(w word) bool { return w.text == "--" }); i >= 0 {
		mine = mine[:i]
	}
	var list []edit
	for _, w := range mine {
		if a.named(w.text) {
			list = append(list, edit{w.start, w.end, ""})
		}
	}
	switch n := len(list); {
	case a.Absent:
		for i, e := range list {
			// The blanks before a word go with it.
			list[i].start = len(strings.TrimRight(menu[:e.start], " \t"))
		}
		return list
	case n > 0:
		list[n-1].by = written
		return list[n-1:]
	}
	end := l.kernel.end
	if len(mine) > 0 {
		end = mine[len(mine)-1].end
	}
	return []edit{{end, end, " " + written}}
}

// Check tells how the menu, and the running kernel's command line where there
// is one, differ.
func (a *Argument) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	_, differences, err := a.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	const live = "/proc/cmdline"
	running, runs, err := system.ReadText(r, live, maxFile)
	if err != nil {
		return nil, fmt.Errorf("asking the running kernel: %w", err)
	}
	if have, ok := a.fits(splitCommandLine(running)); runs && !ok {
		differences = append(differences, system.Difference{Subject: live, Have: have, Want: a.want()})
	}
	return differences, nil
}

// Apply edits the menu's lines. It cannot make a menu.
func (a *Argument) Apply(ctx context.Context, s system.System) (bool, error) {
	menu, differences, err := a.plan(ctx, s)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	if menu == "" {
		return false, fault.Inputf("there is no kernel in %s to give %s to", MenuPath, a.Name).
			WithHint("put kernel-arguments below the recipe's boot: resources:, and have it make a vm")
	}
	return true, system.Replace(s, MenuPath, menu, 0o644)
}
