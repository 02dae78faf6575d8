package setting

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/term"
)

// auditdConf is the file of auditd.conf(5).
const auditdConf = "/etc/audit/auditd.conf"

// auditdLine is the length in bytes of the longest line of auditd.conf that is
// read; auditd skips longer ones.
const auditdLine = 158

// auditdValues are the keys of auditd.conf(5) with what their values may be,
// in any case. "number" and "text" stand for themselves.
var auditdValues = map[string]string{
	"local_events": "yes no", "write_logs": "yes no", "verify_email": "yes no", "use_libwrap": "yes no", "enable_krb5": "yes no", "distribute_network": "yes no",
	"log_file": "text", "log_group": "text", "name": "text", "krb5_principal": "text", "krb5_key_file": "text", "plugin_dir": "text",
	"log_format": "raw nolog enriched", "flush": "none incremental incremental_async data sync", "name_format": "none hostname fqd numeric user",
	"max_log_file_action": "ignore syslog suspend rotate keep_logs", "transport": "tcp krb5", "overflow_action": "ignore syslog suspend single halt",
	"space_left_action":       "ignore syslog rotate email exec suspend single halt",
	"admin_space_left_action": "ignore syslog rotate email exec suspend single halt",
	"disk_full_action":        "ignore syslog rotate exec suspend single halt", "disk_error_action": "ignore syslog exec suspend single halt",
	"freq": "number", "num_logs": "number", "max_log_file": "number", "priority_boost": "number", "tcp_listen_port": "number", "tcp_listen_queue": "number",
	"tcp_max_per_addr": "number", "tcp_client_max_idle": "number", "q_depth": "number", "max_restarts": "number", "end_of_event_timeout": "number",
	"report_interval": "number", "space_left": "share", "admin_space_left": "share", "tcp_client_ports": "ports", "action_mail_acct": "mail",
}

// auditdForms are the forms of values that are no words.
var auditdForms = map[string]*regexp.Regexp{
	"text": regexp.MustCompile(`^[^ ]+$`), "number": regexp.MustCompile(`^[0-9]{1,9}$`), "share": regexp.MustCompile(`^([0-9]{1,9}|[1-9][0-9]?%)$`),
	"ports": regexp.MustCompile(`^[0-9]{1,5}(-[0-9]{1,5})?$`), "mail": regexp.MustCompile(`^[A-Za-z0-9@._-]{2,}$`),
}

// auditd reads auditd.conf(5): a key, a sign between spaces and a value, whole
// lines as comments; keys and words know no case. The last value of a key
// counts. Anything else keeps the daemon from starting.
type auditd struct{}

func (auditd) name(key string) string { return strings.ToLower(key) }

func (auditd) sense() term.Sense { return term.Sense{Equal: strings.EqualFold} }

func (g auditd) parse(text string) ([]assignment, error) {
	left := map[string]int{}
	list, err := eachLine(text, func(begin, end int) ([]assignment, error) {
		whole := strings.Trim(text[begin:end], " ")
		if whole == "" || whole[0] == '#' {
			return nil, nil
		}
		if len(text[begin:end]) > auditdLine {
			return nil, fmt.Errorf("it is longer than %d bytes, and skipped", auditdLine)
		}
		if strings.ContainsFunc(whole, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, errors.New("it has a character that is neither printed nor a space")
		}
		fields := strings.Fields(whole)
		if len(fields) < 3 || len(fields) > 4 || fields[1] != "=" {
			return nil, errors.New("it is not of the form key = value")
		}
		a := assignment{key: g.name(fields[0]), begin: begin, end: end}
		sign := begin + strings.IndexByte(text[begin:end], '=')
		a.from, a.to = trim(text, sign+1, end)
		a.value = text[a.from:a.to]
		if err := g.check(a.key, a.value); err != nil {
			return nil, err
		}
		if n, err := strconv.Atoi(a.value); err == nil {
			left[a.key] = n
		}
		return []assignment{a}, nil
	})
	least, there := left["admin_space_left"]
	if most, also := left["space_left"]; err == nil && there && also && most <= least {
		return nil, fmt.Errorf("space_left, %d, is not more than admin_space_left, %d", most, least)
	}
	return list, err
}

func (g auditd) check(key, value string) error {
	key = g.name(key)
	form, known := auditdValues[key]
	if !known {
		return noSetting{"auditd", slices.Sorted(maps.Keys(auditdValues))}
	}
	word, option, more := strings.Cut(value, " ")
	if pattern := auditdForms[form]; pattern != nil {
		if !pattern.MatchString(value) {
			return fmt.Errorf("%s has no value that auditd takes", key)
		}
		return nil
	}
	if !slices.Contains(strings.Fields(form), strings.ToLower(word)) {
		return fmt.Errorf("%s is none of %s", key, form)
	}
	if exec := strings.EqualFold(word, "exec"); more && (!exec || !strings.HasPrefix(strings.TrimLeft(option, " "), "/")) {
		return fmt.Errorf("%s has a word too many", key)
	}
	return nil
}

func (auditd) replace(text string, a assignment, value string) string {
	return splice(text, a.from, a.to, value)
}

func (auditd) insert(text, key, value string) string {
	comment := regexp.MustCompile(`^[ ]*#[ ]?` + regexp.QuoteMeta(key) + `[ ]*(=.*)?$`)
	return uncomment(text, comment, key+" = "+value)
}
