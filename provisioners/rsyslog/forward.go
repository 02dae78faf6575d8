package rsyslog

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// localOutputs are the modules whose messages stay on this machine. Any other
// output is taken for one that sends them away.
var localOutputs = []string{"omfile", "omusrmsg", "omjournal", "omprog", "ompipe", "omuxsock", "omstdout", "omdiscard", "omshell", "omtesting"}

// hosts are the parameters with the machines that outputs send to.
var hosts = map[string]string{"omfwd": "target", "omrelp": "target", "ommail": "server", "omelasticsearch": "server", "omhttp": "server"}

// security is how much a way of sending keeps to itself.
type security int

const (
	clear     security = iota
	encrypted          // to whoever answers
	verified
)

// streams is the state of the old form's directives on TLS.
type streams struct{ driver, mode, authentication string }

// forwarding lists the actions that send messages to other machines less securely
// than they should.
func (s *State) forwarding(list []statement) ([]edit.Violation, error) {
	want := encrypted
	if s.Forwards == "verified" {
		want = verified
	}
	standard, err := standardDriver(list)
	if err != nil {
		return nil, err
	}
	var found []edit.Violation
	var old streams
	for _, one := range list {
		have, what := verified, ""
		switch {
		case one.kind == directive:
			switch one.name {
			case "actionsendstreamdriver":
				old.driver = one.text
			case "actionsendstreamdrivermode":
				old.mode = one.text
			case "actionsendstreamdriverauthmode":
				old.authentication = one.text
			case "resetconfigvariables":
				old = streams{}
			}
		case one.kind == action:
			have, what = oldForward(one.text, old, standard)
		case one.kind == object && one.name == "action":
			p, ok := one.get("type")
			if !ok || p.computed {
				return nil, fmt.Errorf("%s: action() does not say which module it is of", one.where())
			}
			have, what, err = newForward(module(p.value), one, standard)
			if err != nil {
				return nil, err
			}
		}
		if have >= want || what == "" {
			continue
		}
		d := system.Difference{Subject: one.where() + ": " + what, Have: "sent in clear", Want: "encrypted"}
		if want == verified {
			d.Want = "encrypted, to a machine whose certificate has its name"
		}
		if have == encrypted {
			d.Have = "sent to whoever answers"
		}
		if !knownOutput(what) {
			d.Have = "sent in a way of which it is not known whether it is encrypted"
		}
		found = append(found, one.violation(d, func(*edit.Draft) error {
			return fault.Inputf("%s; which certificates to trust is not for this program to say", d).
				WithHint(`use action(type="omfwd" protocol="tcp" …) with StreamDriver="gtls", StreamDriverMode="1" and StreamDriverAuthMode="x509/name", or take the action out`)
		}))
	}
	return found, nil
}

func knownOutput(what string) bool {
	_, ok := hosts[strings.TrimPrefix(what, "action of ")]
	return ok
}

// standardDriver is the driver of streams that counts where an action names none:
// the last that is set, wherever it is.
func standardDriver(list []statement) (string, error) {
	driver := ""
	for _, s := range list {
		if s.kind == directive && s.name == "defaultnetstreamdriver" {
			driver = s.text
		}
		if p, ok := s.get("defaultnetstreamdriver"); ok && s.kind == object && s.name == "global" {
			if p.computed {
				return "", fmt.Errorf("%s: defaultNetstreamDriver is computed when rsyslogd starts", s.where())
			}
			driver = p.value
		}
	}
	return driver, nil
}

// secure is what a stream over TCP keeps to itself.
func (s streams) secure(standard string) security {
	driver := s.driver
	if driver == "" {
		driver = standard
	}
	switch {
	case !slices.Contains([]string{"gtls", "ossl", "mbedtls"}, strings.ToLower(driver)) || s.mode != "1":
		return clear
	case slices.Contains([]string{"x509/name", "x509/fingerprint"}, strings.ToLower(s.authentication)):
		return verified
	}
	return encrypted
}

// oldForward is what an action of the old form sends, "" for nothing: @HOST by
// UDP, @@HOST by TCP, >HOST,… into a database, :omMODULE:….
func oldForward(text string, old streams, standard string) (security, string) {
	switch {
	case strings.HasPrefix(text, "@"):
		host := strings.TrimLeft(text, "@")
		if _, after, ok := strings.Cut(host, ")"); ok && host[0] == '(' {
			host = after
		}
		switch {
		case loopback(hostOf(host)):
			return verified, ""
		case strings.HasPrefix(text, "@@"):
			return old.secure(standard), "action of omfwd"
		}
		return clear, "action of omfwd"
	case text[0] == '>':
		host, _, _ := strings.Cut(text[1:], ",")
		if loopback(strings.TrimSpace(host)) {
			return verified, ""
		}
		return clear, "action of ommysql"
	case text[0] == ':':
		name, _, _ := strings.Cut(text[1:], ":")
		name = module(name)
		if strings.HasPrefix(name, "om") && !slices.Contains(localOutputs, name) {
			return clear, "action of " + name
		}
	}
	return verified, ""
}

// hostOf is the host of HOST, HOST:PORT or [ADDRESS]:PORT, with what may follow.
func hostOf(text string) string {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		host, _, _ := strings.Cut(rest, "]")
		return host
	}
	if i := strings.IndexAny(text, ":; \t#"); i >= 0 {
		return text[:i]
	}
	return text
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() || strings.EqualFold(host, "localhost")
}

// newForward is what an action() sends.
func newForward(name string, a statement, standard string) (security, string, error) {
	if !strings.HasPrefix(name, "om") || slices.Contains(localOutputs, name) {
		return verified, "", nil
	}
	what := "action of " + name
	var computed error
	value := func(names ...string) string {
		for _, n := range names {
			if p, ok := a.get(n); ok {
				if p.computed {
					computed = fmt.Errorf("%s: %s is computed when rsyslogd starts, and not known here", a.where(), n)
				}
				return strings.ToLower(p.value)
			}
		}
		return ""
	}
	if p, ok := a.get(hosts[name]); ok && !p.computed && hosts[name] != "" && !slices.ContainsFunc(p.values, func(one string) bool { return !loopback(one) }) {
		return verified, "", nil
	}
	have := clear
	switch name {
	case "omfwd":
		s := streams{value("streamdriver", "streamdriver.name"), value("streamdrivermode", "streamdriver.mode"), value("streamdriverauthmode", "streamdriver.authmode")}
		if value("protocol") == "tcp" {
			have = s.secure(standard)
		}
	case "omrelp":
		if value("tls") == "on" {
			have = encrypted
			if slices.Contains([]string{"name", "fingerprint"}, value("tls.authmode")) {
				have = verified
			}
		}
	case "omelasticsearch", "omhttp":
		// HTTPS is the default of omhttp alone, and what a server's name begins with
		// goes before it.
		https := value("usehttps")
		standard := https == "on" || name == "omhttp" && https == ""
		servers, _ := a.get("server")
		clearly := func(server string) bool {
			server = strings.ToLower(server)
			return strings.Contains(server, "http://") || !standard && !strings.Contains(server, "https://")
		}
		if (standard || len(servers.values) > 0) && !servers.computed && !slices.ContainsFunc(servers.values, clearly) {
			have = verified
			if value("skipverifyhost") == "on" || value("allowunsignedcerts") == "on" {
				have = encrypted
			}
		}
	}
	return have, what, computed
}
