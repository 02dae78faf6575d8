package setting

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// aideMain is the main file of aide.conf(5).
const aideMain = "/etc/aide/aide.conf"

var (
	aideOption = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)$`)
	aidePath   = regexp.MustCompile(`^/[A-Za-z0-9_/-]+$`)
	aideTypes  = regexp.MustCompile(`^[fdplbcDs](,[fdplbcDs])*$`)
	aideMacro  = regexp.MustCompile(`^@@[A-Za-z_]+`)
	aideGroup  = regexp.MustCompile(`^[A-Za-z0-9_>]+([+-][A-Za-z0-9_>]+)*$`)

	// aideAttributes are those of aide.conf(5), with the groups that it defines.
	aideAttributes = strings.Fields(`p i l n u g s S b m a c acl selinux xattrs e2fsattrs caps ftype md5 sha1 sha256 sha512 sha512_256 sha3_256 sha3_512 rmd160
	tiger crc32 crc32b haval whirlpool gost stribog256 stribog512 R L > X H E I ANF ARF growing compressed`)
	aideSwitches = strings.Fields(`gzip_dbout database_add_metadata acl_no_symlink_follow warn_dead_symlinks report_grouped report_summarize_changes report_quiet
	report_append report_detailed_init report_base16 config_check_warn_unrestricted_rules syslog_format`)
	aideTexts = strings.Fields(`database_in database database_out database_new report_url report_ignore_e2fsattrs root_prefix config_version`)
	aideLists = strings.Fields(`database_attrs report_ignore_changed_attrs report_ignore_added_attrs report_ignore_removed_attrs report_force_attrs`)
	aideWords = map[string][]string{
		"report_level": strings.Fields("minimal summary database_attributes list_entries changed_attributes added_removed_attributes added_removed_entries"),
		"log_level":    strings.Fields("error warning notice info rule compare config debug thread trace"), "report_format": strings.Fields("plain json"),
	}
)

// aideConf reads aide.conf(5): options, groups of attributes, and rules, which
// are expressions of paths with the attributes that are compared. A path that a
// rule is for is the key, its attributes are the value, and of several rules the
// first one counts. Where a rule with a ! may leave the path out, and where the
// rule is under a condition, it cannot be told what is compared. Files that are
// included are read as well, but for the programs among them, which say at run
// time what they add.
type aideConf struct{ wanted string }

func (aideConf) name(key string) string { return key }

func (aideConf) sense() term.Sense { return term.Sense{} }

func (g aideConf) parse(text string) ([]assignment, error) {
	groups := slices.Clone(aideAttributes)
	depth := 0
	list, err := eachLine(text, func(begin, end int) ([]assignment, error) {
		from, to := trim(text, begin, end)
		line := text[from:to]
		switch {
		case line == "" || line[0] == '#':
			return nil, nil
		case strings.HasPrefix(line, "@@"):
			return g.macro(line, &depth, assignment{key: "@@", begin: begin, end: end})
		case strings.IndexByte("/!=-", line[0]) >= 0:
			a, err := g.rule(line, groups)
			if err != nil || a == nil {
				return nil, err
			}
			if depth > 0 && a.key == g.wanted {
				return nil, errors.New("its rule is under a condition")
			}
			a.begin, a.end, a.from, a.to = begin, end, to-len(a.value), to
			return []assignment{*a}, nil
		}
		name, why := aideAssigned(line, groups)
		if name != "" {
			groups = append(groups, name)
		}
		return nil, why
	})
	if err == nil && depth != 0 {
		err = errors.New("a condition has no @@endif")
	}
	return list, err
}

// macro reads a line of the preprocessor, and gives one that includes files.
func (aideConf) macro(line string, depth *int, a assignment) ([]assignment, error) {
	word := aideMacro.FindString(line)
	arguments := strings.TrimSpace(line[len(word):])
	switch word {
	case "@@if", "@@ifdef", "@@ifndef", "@@ifhost", "@@ifnhost":
		*depth++
	case "@@else":
		if *depth == 0 {
			return nil, errors.New("it has no condition")
		}
		return nil, nil
	case "@@endif":
		if *depth--; *depth < 0 {
			return nil, errors.New("it ends no condition")
		}
		return nil, nil
	case "@@define", "@@undef", "@@x_include_setenv":
	case "@@include", "@@x_include":
		a.key, a.value = word, arguments
	default:
		return nil, errors.New("it is no macro that is known here")
	}
	if arguments == "" {
		return nil, fmt.Errorf("%s has no argument", word)
	}
	if a.value == "" {
		return nil, nil
	}
	return []assignment{a}, nil
}

// rule reads a line that selects paths; nil is one that leaves others out.
func (g aideConf) rule(line string, groups []string) (*assignment, error) {
	kind := line[:1]
	expression := strings.TrimLeft(line, "!=-")
	fields := strings.Fields(expression)
	if len(fields) == 0 || !strings.HasPrefix(fields[0], "/") || len(line)-len(expression) > 1 {
		return nil, errors.New("a rule is for a path that begins with a slash")
	}
	rest := fields[1:]
	if n := len(rest); n > 0 && (kind == "!" || kind == "-" || n > 1) {
		if !aideTypes.MatchString(rest[0]) {
			return nil, errors.New("it limits a rule to no type of file that is known here")
		}
		if rest = rest[1:]; kind != "!" && kind != "-" {
			fields[0] += " " // it is for some types alone
		}
	}
	pattern, err := aidePattern(fields[0])
	switch {
	case err != nil:
		return nil, err
	case kind == "!" || kind == "-":
		if len(rest) > 0 {
			return nil, errors.New("a rule that leaves paths out has no attributes")
		}
		if pattern.MatchString(g.wanted) || strings.Contains(fields[0], "@@{") {
			return nil, errors.New("it may leave the path out")
		}
		return nil, nil
	case len(rest) != 1:
		return nil, errors.New("a rule is an expression and attributes")
	}
	return &assignment{key: strings.TrimSuffix(fields[0], "$"), value: rest[0]}, aideExpression(rest[0], groups)
}

// aidePattern is an expression of PCRE without what looks ahead and behind, so
// that it matches more and not less.
func aidePattern(text string) (*regexp.Regexp, error) {
	var b strings.Builder
	text = strings.TrimSpace(text)
	for i := 0; i < len(text); i++ {
		if !strings.HasPrefix(text[i:], "(?!") && !strings.HasPrefix(text[i:], "(?=") && !strings.HasPrefix(text[i:], "(?<") {
			b.WriteByte(text[i])
			if text[i] == '\\' && i+1 < len(text) {
				i++
				b.WriteByte(text[i])
			}
			continue
		}
		for open := 0; i < len(text); i++ {
			if text[i] == '\\' {
				i++
			} else if text[i] == '(' {
				open++
			} else if text[i] == ')' {
				if open--; open == 0 {
					break
				}
			}
		}
	}
	pattern, err := regexp.Compile("^(?:" + b.String() + ")")
	if err != nil {
		return nil, errors.New("its expression is not understood")
	}
	return pattern, nil
}

// aideAssigned reads an option, or a group, whose name it gives.
func aideAssigned(line string, groups []string) (string, error) {
	parts := aideOption.FindStringSubmatch(line)
	if parts == nil || parts[2] == "" {
		return "", errors.New("it is neither an option nor a group nor a rule")
	}
	name, value := parts[1], parts[2]
	known := true
	switch {
	case slices.Contains(aideSwitches, name):
		known = slices.Contains([]string{"yes", "true", "no", "false"}, value)
	case slices.Contains(aideLists, name):
		return "", aideExpression(value, groups)
	case slices.Contains(aideTexts, name):
	case aideWords[name] != nil:
		known = slices.Contains(aideWords[name], value)
	case name == strings.ToLower(name) && strings.Contains(name, "_"):
		return "", noSetting{"aide", slices.Concat(aideSwitches, aideTexts, aideLists)}
	default:
		return name, aideExpression(value, groups)
	}
	if !known {
		return "", fmt.Errorf("%s has no value that is known here", name)
	}
	return "", nil
}

// aideExpression tells whether a sum of attributes and groups is one.
func aideExpression(text string, groups []string) error {
	if !aideGroup.MatchString(text) {
		return errors.New("it has no attributes")
	}
	for _, one := range strings.FieldsFunc(text, func(r rune) bool { return r == '+' || r == '-' }) {
		if !slices.Contains(groups, one) {
			return errors.New("it has an attribute that is neither known here nor a group defined above")
		}
	}
	return nil
}

func (aideConf) check(key, value string) error {
	if !aidePath.MatchString(key) {
		return errors.New("a key is a path without signs of expressions")
	}
	return aideExpression(value, aideAttributes)
}

func (aideConf) replace(text string, a assignment, value string) string {
	return splice(text, a.from, a.to, value)
}

func (aideConf) insert(text, key, value string) string {
	n := len(edit.Lines(text))
	return edit.Replace(text, n, n, key+" "+value)
}

// sources reads the main file and the texts that it includes. The first rule of
// a path counts, so that the others are left out.
func (g aideConf) sources(r system.Reader) ([]source, error) {
	list, err := present(r, []string{aideMain})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	all, err := parseAll(r, list, g)
	if err != nil {
		return nil, err
	}
	for _, a := range all[0].list {
		if !strings.HasPrefix(a.key, "@@") {
			continue
		}
		names, err := aideIncluded(r, a)
		if err != nil {
			return nil, err
		}
		more, err := parseAll(r, names, g)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(more, func(s source) bool {
			return slices.ContainsFunc(s.list, func(a assignment) bool { return a.key == g.wanted || strings.HasPrefix(a.key, "@@") })
		}) {
			return nil, fmt.Errorf("reading %s: a file that it includes has a rule for %s too, or includes others", aideMain, g.wanted)
		}
	}
	seen := map[string]bool{}
	all[0].list = slices.DeleteFunc(all[0].list, func(a assignment) bool {
		was := seen[a.key]
		seen[a.key] = true
		return was
	})
	return all, nil
}

// aideIncluded are the texts that a line includes: a file, or those of a
// directory whose names match.
func aideIncluded(r system.Reader, a assignment) ([]string, error) {
	words := strings.Fields(a.value)
	names := words[:1]
	if len(words) > 1 {
		pattern, err := regexp.Compile(words[1])
		if err != nil {
			return nil, fmt.Errorf("reading %s: %s has an expression that is not understood", aideMain, a.key)
		}
		all, err := system.Names(r, words[0])
		if err != nil {
			return nil, err
		}
		names = nil
		for _, name := range all {
			if pattern.MatchString(name) {
				names = append(names, path.Join(words[0], name))
			}
		}
	}
	var texts []string
	for _, name := range names {
		info, err := r.Stat(name)
		switch {
		case err != nil && (len(words) == 1 || !errors.Is(err, fs.ErrNotExist)):
			return nil, fmt.Errorf("reading %s: including %s: %w", aideMain, name, err)
		case err != nil || a.key == "@@x_include" && info.Mode.Perm()&0o111 != 0:
		case info.Mode.IsRegular():
			texts = append(texts, name)
		}
	}
	return texts, nil
}
