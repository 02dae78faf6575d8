package host

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
)

// AptNetwork is how this host's apt reaches servers: the values of its
// configuration by their names in lower case, such as "acquire::http::proxy".
// A host without apt has none.
type AptNetwork map[string]string

// ReadAptNetwork asks this host's apt.
func ReadAptNetwork(ctx context.Context) (AptNetwork, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "--format", "%f %v%n", "Acquire::http", "Acquire::https").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking apt-config how it reaches servers: %w", err)
	}
	network := AptNetwork{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value != "" {
			network[strings.ToLower(name)] = value
		}
	}
	return network, nil
}

// Proxy returns the proxy for an http or https URL as apt-transport-http(1)
// has it: that of the host before that of all hosts, and for https what is said
// of http where nothing else is. configured is false when apt leaves the choice
// to the environment; "" then and for a direct connection.
func (n AptNetwork) Proxy(u *url.URL) (proxy string, configured bool) {
	methods := []string{u.Scheme}
	if u.Scheme == "https" {
		methods = append(methods, "http")
	}
	for _, host := range []string{"::" + strings.ToLower(u.Hostname()), ""} {
		for _, method := range methods {
			proxy := n["acquire::"+method+"::proxy"+host]
			switch strings.ToLower(proxy) {
			case "":
				continue
			case "direct", "false":
				return "", true
			}
			return proxy, true
		}
	}
	return "", false
}

// Authorities returns the files with the certificate authorities that apt
// trusts (apt-transport-https(1)): for every host, "" when it is the system's,
// and for single hosts.
func (n AptNetwork) Authorities() (all string, hosts map[string]string) {
	const https, option = "acquire::https::", "cainfo"
	hosts = map[string]string{}
	for name, value := range n {
		rest, ok := strings.CutPrefix(name, https)
		switch {
		case !ok:
		case rest == option:
			all = value
		default:
			// apt reads the second form and documents the first.
			host, ok := strings.CutPrefix(rest, option+"::")
			if !ok {
				host, ok = strings.CutSuffix(rest, "::"+option)
			}
			if ok {
				hosts[host] = value
			}
		}
	}
	return all, hosts
}
