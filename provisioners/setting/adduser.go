package setting

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/term"
)

// The files of adduser.conf(5) and deluser.conf(5).
const adduserConf, deluserConf = "/etc/adduser.conf", "/etc/deluser.conf"

var (
	adduserLine = regexp.MustCompile(`^\s*([A-Za-z0-9_]+)\s*=\s*(.*)$`)
	adduserKeys = strings.Fields(`system only_if_empty remove_home home remove_all_files backup backup_to backup_suffix dshell first_system_uid
	last_system_uid first_uid last_uid first_system_gid last_system_gid first_gid last_gid dhome skel usergroups users_gid users_group
	grouphomes letterhomes quotauser dir_mode sys_dir_mode setgid_home no_del_paths name_regex sys_name_regex exclude_fstypes
	skel_ignore_regex extra_groups add_extra_groups uid_pool gid_pool reserve_uid_pool reserve_gid_pool logmsgfmt stderrmsglevel
	stdoutmsglevel logmsglevel`)
)

// adduser reads adduser.conf(5) and deluser.conf(5) as both programs do: a key
// in any case, a sign, and all that follows as the value, with one pair of
// quotes around it taken off. A comment begins with its line. The last value
// counts. Both programs warn of the rest and leave it out; here it is an error.
type adduser struct{}

func (adduser) name(key string) string { return strings.ToLower(key) }

func (adduser) sense() term.Sense { return term.Sense{} }

func (g adduser) parse(text string) ([]assignment, error) {
	return eachLine(text, func(begin, end int) ([]assignment, error) {
		whole := text[begin:end]
		if strings.HasPrefix(whole, "#") || strings.Trim(whole, blank) == "" {
			return nil, nil
		}
		at := adduserLine.FindStringSubmatchIndex(whole)
		if at == nil {
			return nil, errors.New("it is not of the form KEY=value")
		}
		a := assignment{key: g.name(whole[at[2]:at[3]]), begin: begin, end: end, from: begin + at[4], to: begin + at[5]}
		a.value = whole[at[4]:at[5]]
		for _, quote := range []string{`"`, `'`} {
			if len(a.value) > 1 && strings.HasPrefix(a.value, quote) && strings.HasSuffix(a.value, quote) {
				a.value = a.value[1 : len(a.value)-1]
			}
		}
		if !slices.Contains(adduserKeys, a.key) {
			return nil, noSetting{"adduser", adduserKeys}
		}
		return []assignment{a}, nil
	})
}

func (g adduser) check(key, value string) error {
	switch {
	case !slices.Contains(adduserKeys, g.name(key)):
		return noSetting{"adduser", adduserKeys}
	case strings.HasPrefix(value, `"`), strings.HasPrefix(value, `'`):
		return errors.New("its quotes would be taken off")
	}
	return nil
}

func (adduser) replace(text string, a assignment, value string) string {
	return splice(text, a.from, a.to, value)
}

func (adduser) insert(text, key, value string) string {
	return uncomment(text, commented(key), key+"="+value)
}
