package setting

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/term"
)

// loginDefs is the file of login.defs(5).
const loginDefs = "/etc/login.defs"

// fgetsLine is the length in bytes of the longest line that the programs of
// shadow read in one piece.
const fgetsLine = 1022

// loginNumbers are the keys of login.defs(5) that are counted, loginOthers the
// rest, those of PAM's modules and of util-linux included; loginTwice are read
// by PAM's modules too, which do it otherwise.
var (
	loginNumbers = strings.Fields(`PASS_MAX_DAYS PASS_MIN_DAYS PASS_WARN_AGE PASS_MIN_LEN PASS_MAX_LEN PASS_CHANGE_TRIES UID_MIN UID_MAX GID_MIN GID_MAX
	SYS_UID_MIN SYS_UID_MAX SYS_GID_MIN SYS_GID_MAX SUB_UID_MIN SUB_UID_MAX SUB_UID_COUNT SUB_GID_MIN SUB_GID_MAX SUB_GID_COUNT LOGIN_RETRIES
	LOGIN_TIMEOUT LASTLOG_UID_MAX MAX_MEMBERS_PER_GROUP SHA_CRYPT_MIN_ROUNDS SHA_CRYPT_MAX_ROUNDS BCRYPT_MIN_ROUNDS BCRYPT_MAX_ROUNDS
	YESCRYPT_COST_FACTOR FAIL_DELAY`)
	loginOthers = strings.Fields(`ALWAYS_SET_PATH CHFN_AUTH CHFN_RESTRICT CHSH_AUTH CONSOLE CONSOLE_GROUPS CRACKLIB_DICTPATH CREATE_HOME DEFAULT_HOME
	ENCRYPT_METHOD ENVIRON_FILE ENV_HZ ENV_PATH ENV_ROOTPATH ENV_SUPATH ENV_TZ ERASECHAR FAILLOG_ENAB FAKE_SHELL FORCE_SHADOW FTMP_FILE
	GRANT_AUX_GROUP_SUBIDS HMAC_CRYPTO_ALGO HOME_MODE HUSHLOGIN_FILE ISSUE_FILE KILLCHAR LASTLOG_ENAB LOGIN_KEEP_USERNAME LOGIN_PLAIN_PROMPT
	LOGIN_STRING LOG_OK_LOGINS LOG_UNKFAIL_ENAB MAIL_CHECK_ENAB MAIL_DIR MAIL_FILE MD5_CRYPT_ENAB MOTD_FILE MOTD_FIRSTONLY NOLOGINS_FILE
	NONEXISTENT OBSCURE_CHECKS_ENAB PASS_ALWAYS_WARN PORTTIME_CHECKS_ENAB PREVENT_NO_AUTH QUOTAS_ENAB SULOG_FILE SU_NAME SU_WHEEL_ONLY
	SYSLOG_SG_ENAB SYSLOG_SU_ENAB TTYGROUP TTYPERM TTYTYPE_FILE ULIMIT UMASK USERDEL_CMD USERGROUPS_ENAB`)
	loginTwice = strings.Fields(`ENCRYPT_METHOD HOME_MODE UMASK FAIL_DELAY SHA_CRYPT_MIN_ROUNDS SHA_CRYPT_MAX_ROUNDS YESCRYPT_COST_FACTOR HMAC_CRYPTO_ALGO
	LASTLOG_UID_MAX MAIL_DIR USERGROUPS_ENAB PASS_MIN_LEN`)
	decimal = regexp.MustCompile(`^(-?[1-9][0-9]{0,17}|0)$`)
)

// words reads login.defs(5) as the programs of shadow do: a key, blanks and
// the rest of the line, up to a double quote if it began with one; there are
// no comments behind values, and the last value of a key counts. PAM's modules
// take the first one, and leave out what follows a #: where both would read
// another value, and where the programs complain and go on with their default,
// it is an error.
type words struct{}

func (words) name(key string) string { return key }

func (words) sense() term.Sense { return term.Sense{} }

func (g words) parse(text string) ([]assignment, error) {
	first := map[string]string{}
	return eachLine(text, func(begin, end int) ([]assignment, error) {
		from, to := trim(text, begin, end)
		if from == to || text[from] == '#' {
			return nil, nil
		}
		if end-begin > fgetsLine {
			return nil, fmt.Errorf("it is longer than %d bytes", fgetsLine)
		}
		keyEnd := from + strings.IndexAny(text[from:to]+" ", " \t")
		key := text[from:keyEnd]
		value := keyEnd + len(text[keyEnd:to]) - len(strings.TrimLeft(text[keyEnd:to], " \t\""))
		valueEnd := to
		if i := strings.IndexByte(text[value:to], '"'); i >= 0 {
			valueEnd = value + i
		}
		a := assignment{key: key, value: text[value:valueEnd], begin: begin, end: end, from: value, to: valueEnd}
		if err := g.known(key, a.value); err != nil {
			return nil, err
		}
		if keyEnd == to {
			return nil, fmt.Errorf("%s has no value", key)
		}
		if slices.Contains(loginTwice, key) {
			if strings.ContainsAny(text[keyEnd:to], `"#=`) {
				return nil, fmt.Errorf("PAM reads another %s than the programs of shadow", key)
			}
			if was, again := first[key]; again && was != a.value {
				return nil, fmt.Errorf("%s has had another value, which PAM takes", key)
			}
			first[key] = a.value
		}
		return []assignment{a}, nil
	})
}

// known says why the programs would complain of a line.
func (words) known(key, value string) error {
	switch {
	case slices.Contains(loginNumbers, key):
		if !decimal.MatchString(value) {
			return fmt.Errorf("%s is no number in base ten", key)
		}
	case !slices.Contains(loginOthers, key):
		return noSetting{"login.defs", slices.Concat(loginNumbers, loginOthers)}
	}
	return nil
}

func (g words) check(key, value string) error {
	switch {
	case value == "":
		return errors.New("a key has to have one")
	case strings.Contains(value, `"`), slices.Contains(loginTwice, key) && strings.ContainsAny(value, "#="):
		return errors.New("it would end there")
	}
	return g.known(key, value)
}

// replace writes a value that PAM reads too into every line of its key.
func (g words) replace(text string, a assignment, value string) string {
	if !slices.Contains(loginTwice, a.key) {
		return splice(text, a.from, a.to, value)
	}
	list, err := g.parse(text)
	if err != nil {
		return text // of which a was no part
	}
	for _, one := range slices.Backward(list) {
		if one.key == a.key {
			text = splice(text, one.from, one.to, value)
		}
	}
	return text
}

func (words) insert(text, key, value string) string {
	return uncomment(text, regexp.MustCompile(`^[ \t]*#[ ]?`+regexp.QuoteMeta(key)+`[ \t]+[^ \t]+[ \t]*$`), key+"\t"+value)
}
