// Package tlspolicy holds the resource of which versions of TLS and which
// cipher suites a system's servers may speak: one policy over the effective
// settings of nginx, of Apache httpd and of OpenSSL's system-wide defaults. It
// works cipher strings out itself, by OpenSSL's rules, and calls what it does
// not know an error; it looks at no certificate and opens no connection.
package tlspolicy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/apache"
	"imgbuild/provisioners/nginx"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// Policy is what may be spoken.
type Policy struct {
	Name string `json:"-"`
	// Versions are in ascending order and without a gap.
	Versions []string `json:"versions" jsonschema:"required,enum=TLSv1,enum=TLSv1.1,enum=TLSv1.2,enum=TLSv1.3" jsonschema_description:"the versions that may be spoken; those are what is written"`
	Ciphers  string   `json:"ciphers,omitempty" jsonschema_description:"cipher string (openssl-ciphers(1)) of the suites below TLS 1.3 that may be enabled; it is what is written"`
	For      []string `json:"for,omitempty" jsonschema:"enum=nginx,enum=apache,enum=openssl" jsonschema_description:"whose settings; default: nginx and apache, those that are installed"`

	allowed []string
}

// versions are those there are, ascending.
var versions = []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}

// New decodes the policy called e.Key.
func New(e node.Entry) (*Policy, error) {
	policy := &Policy{Name: e.Key}
	if err := node.Decode(e.Value, policy); err != nil {
		return nil, err
	}
	p := &node.Problems{}
	first := slices.Index(versions, append(policy.Versions, "")[0])
	if first < 0 || first+len(policy.Versions) > len(versions) || !slices.Equal(policy.Versions, versions[first:first+len(policy.Versions)]) {
		p.Addf(e.Value.At("versions"), "expected versions in ascending order without a gap, such as [TLSv1.2, TLSv1.3]")
	}
	if strings.ContainsAny(policy.Ciphers, " \"';{}\n\\#$") {
		p.Addf(e.Value.At("ciphers"), `expected the words of the cipher string with ":" between them`)
	} else if policy.Ciphers != "" {
		var err error
		if policy.allowed, err = Expand(policy.Ciphers); err != nil {
			p.Addf(e.Value.At("ciphers"), "%v", err)
		} else if len(policy.allowed) == 0 {
			p.Addf(e.Value.At("ciphers"), "the cipher string leaves no suite")
		}
	}
	return policy, p.Err()
}

// Identity is the policy's.
func (p *Policy) Identity() string { return "tls policy " + p.Name }

// part is a state of one program's settings that the policy is made of.
type part interface {
	Check(ctx context.Context, r system.Reader) ([]system.Difference, error)
	Apply(ctx context.Context, s system.System) (bool, error)
}

// judge decides on settings, and keeps what it could not understand.
type judge struct {
	policy *Policy
	err    error
}

// versions accepts a set of versions that the policy has.
func (j *judge) versions(list []string) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(v string) bool { return !slices.Contains(j.policy.Versions, v) })
}

// ciphers accepts a string that enables nothing that the policy has not.
func (j *judge) ciphers(text string) bool {
	list, err := Expand(text)
	if err != nil {
		j.err = errors.Join(j.err, err)
		return false
	}
	return !slices.ContainsFunc(list, func(name string) bool { return !slices.Contains(j.policy.allowed, name) })
}

// programs are those whose settings the policy is about.
func (p *Policy) programs(r system.Reader) ([]string, error) {
	if len(p.For) > 0 {
		return p.For, nil
	}
	var list []string
	for program, file := range map[string]string{"nginx": "/etc/nginx/nginx.conf", "apache": "/etc/apache2/apache2.conf"} {
		if _, err := r.Stat(file); err == nil {
			list = append(list, program)
		}
	}
	if len(list) == 0 {
		return nil, fault.Inputf("the image has neither nginx nor apache2").WithHint(`name what the policy is for: "for: [openssl]"`)
	}
	slices.Sort(list)
	return list, nil
}

// parts are the states that the policy is made of, all judged by one judge.
func (p *Policy) parts(r system.Reader) ([]part, *judge, error) {
	programs, err := p.programs(r)
	if err != nil {
		return nil, nil, err
	}
	j := &judge{policy: p}
	var list []part
	for _, program := range programs {
		switch program {
		case "nginx":
			for _, s := range p.nginx(j) {
				err = errors.Join(err, s.Prepare())
				list = append(list, s)
			}
		case "apache":
			for _, s := range p.apache(j) {
				err = errors.Join(err, s.Prepare())
				list = append(list, s)
			}
		case "openssl":
			list = append(list, &defaults{policy: p, judge: j})
		}
	}
	return list, j, err
}

func (p *Policy) wish(value string, accept func(args []string) bool) term.Wish {
	return term.Wish{Value: &value, Accept: accept, Wanted: "within " + value}
}

func (p *Policy) nginx(j *judge) []*nginx.State {
	list := []*nginx.State{
		{Key: "ssl_protocols", Wish: p.wish(strings.Join(p.Versions, " "), j.versions)},
		// What goes past the two directives.
		{Key: "ssl_conf_command", Wish: term.Wish{Not: []string{"Protocol", "MinProtocol", "MaxProtocol", "CipherString"}}},
	}
	if p.Ciphers != "" {
		list = append(list, &nginx.State{Key: "ssl_ciphers", Wish: p.wish(p.Ciphers, func(args []string) bool { return len(args) == 1 && j.ciphers(args[0]) })})
	}
	return list
}

func (p *Policy) apache(j *judge) []*apache.State {
	list := []*apache.State{
		{Key: "SSLProtocol", Wish: p.wish("-all +"+strings.Join(p.Versions, " +"), func(args []string) bool {
			set, err := protocols(args)
			j.err = errors.Join(j.err, err)
			return err == nil && j.versions(set)
		})},
		{Key: "SSLOpenSSLConfCmd", Wish: term.Wish{Not: []string{"Protocol", "MinProtocol", "MaxProtocol", "CipherString"}}},
	}
	if p.Ciphers != "" {
		list = append(list, &apache.State{Key: "SSLCipherSuite", Wish: p.wish(p.Ciphers, func(args []string) bool {
			if len(args) == 2 && strings.EqualFold(args[0], "SSL") {
				args = args[1:]
			}
			if len(args) != 1 {
				j.err = errors.Join(j.err, fmt.Errorf("SSLCipherSuite %s is not understood; put the suites of TLS 1.3 into openssl.cnf", strings.Join(args, " ")))
				return false
			}
			// mod_ssl adds this to what is configured.
			return j.ciphers(args[0] + ":!aNULL:!eNULL:!EXP")
		})})
	}
	return list
}

// protocols works an SSLProtocol line out (mod_ssl, "SSLProtocol"): a word
// without a sign replaces what is before it.
func protocols(args []string) ([]string, error) {
	set := map[string]bool{}
	for _, arg := range args {
		sign, name := "", arg
		if strings.ContainsRune("+-", rune((arg + " ")[0])) {
			sign, name = arg[:1], arg[1:]
		}
		var meant []string
		switch i := slices.IndexFunc(versions, func(v string) bool { return strings.EqualFold(v, name) }); {
		case i >= 0:
			meant = versions[i : i+1]
		case strings.EqualFold(name, "all"):
			meant = versions
		case strings.EqualFold(name, "SSLv3") && sign == "-", strings.EqualFold(name, "SSLv2") && sign == "-":
		default:
			return nil, fmt.Errorf("SSLProtocol has %q, which is not known", arg)
		}
		if sign == "" {
			clear(set)
		}
		for _, v := range meant {
			if sign == "-" {
				delete(set, v)
			} else {
				set[v] = true
			}
		}
	}
	var list []string
	for _, v := range versions {
		if set[v] {
			list = append(list, v)
		}
	}
	return list, nil
}

// Check tells which settings allow more than the policy.
func (p *Policy) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	parts, j, err := p.parts(r)
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, part := range parts {
		more, err := part.Check(ctx, r)
		if err = errors.Join(err, j.err); err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// Apply edits the settings that allow more. One that cannot be understood is
// an error, and replaced by hand.
func (p *Policy) Apply(ctx context.Context, s system.System) (bool, error) {
	if _, err := p.Check(ctx, s); err != nil {
		return false, err
	}
	parts, j, err := p.parts(s)
	if err != nil {
		return false, err
	}
	changed := false
	for _, part := range parts {
		more, err := part.Apply(ctx, s)
		changed = changed || more
		if err = errors.Join(err, j.err); err != nil {
			return changed, err
		}
	}
	return changed, nil
}
