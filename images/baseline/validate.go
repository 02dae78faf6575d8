package baseline

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
)

var (
	// baselineName fits file names, tags and layer names alike.
	baselineName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)
	// packageName is Debian policy 5.6.1, with an optional architecture and an
	// optional restriction list as in build dependencies (7.1).
	packageName   = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?( \[!?[a-z0-9-]+( !?[a-z0-9-]+)*\])?$`)
	variableName  = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	envName       = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	hexDigest     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	fingerprint   = regexp.MustCompile(`^([0-9A-F]{40}|[0-9A-F]{64})$`)
	kernelWord    = regexp.MustCompile(`^[!-~]+$`)
	containerUser = regexp.MustCompile(`^[a-z0-9_][a-z0-9_.-]*(:[a-z0-9_][a-z0-9_.-]*)?$`)
)

// Validate checks what the types alone cannot say.
func (r *Recipe) Validate(n *node.Node) error {
	p := &node.Problems{}
	if n.Get("suite") == nil {
		p.Addf(n.Pos, `missing key "suite": bookworm or trixie, or extend a baseline that has one`)
	}
	if n.Get("architectures") == nil {
		p.Addf(n.Pos, `missing key "architectures": such as [amd64], or extend a baseline that has some`)
	}
	checkPackages(p, n.Get("packages"))
	checkScripts(p, n.Get("run"))
	for _, word := range items(n.Get("kernel-arguments")) {
		if !kernelWord.MatchString(word.Text) || strings.ContainsAny(word.Text, "\"'\\$`") {
			p.Addf(word.Pos, "%q is not one word of a kernel command line", word.Text)
		}
	}
	for _, key := range []string{"path-exclude", "path-include"} {
		for _, pattern := range items(n.Get(key)) {
			if !strings.HasPrefix(pattern.Text, "/") {
				p.Addf(pattern.Pos, "expected a pattern that begins with a slash, found %q", pattern.Text)
			}
		}
	}
	for _, key := range []string{"sources", "probes"} {
		for _, e := range entries(n.Get(key)) {
			if !baselineName.MatchString(e.Key) {
				p.Addf(e.Pos, "%q is not a name: lower-case letters, digits, dots and hyphens", e.Key)
			}
		}
	}
	for _, e := range entries(n.Get("sources")) {
		if e.Key == "debian" || e.Key == "debian-security" {
			p.Addf(e.Pos, "%q is Debian's own: give this source another name", e.Key)
		}
	}
	checkResources(p, n.Get("resources"))
	return p.Err()
}

// Validate checks names.
func (b *Boot) Validate(n *node.Node) error {
	p := &node.Problems{}
	checkPackages(p, n.Get("packages"))
	checkScripts(p, n.Get("run"))
	checkResources(p, n.Get("resources"))
	return p.Err()
}

func checkResources(p *node.Problems, n *node.Node) {
	if n != nil && n.Kind != node.Map {
		p.Addf(n.Pos, "expected a map of resources, found %s", n.Kind)
	}
}

func checkPackages(p *node.Problems, list *node.Node) {
	for _, name := range items(list) {
		if !packageName.MatchString(name.Text) {
			p.Addf(name.Pos, "%q is not a package name: lower-case letters, digits, + - and dots, and [amd64] after a space to restrict it", name.Text)
		}
	}
}

func checkScripts(p *node.Problems, list *node.Node) {
	seen := map[string]bool{}
	for _, script := range items(list) {
		id := node.Identity(script)
		if seen[id] {
			p.Addf(script.At("name"), "a script named %q was given already", id)
		}
		seen[id] = true
	}
}

// Validate checks that there is one text.
func (s *Script) Validate(n *node.Node) error {
	p := &node.Problems{}
	if (s.Script == "") == (s.From == nil) {
		p.Addf(n.Pos, `script %q: expected exactly one of "script" and "from"`, s.Name)
	}
	if !baselineName.MatchString(s.Name) {
		p.Addf(n.At("name"), "%q is not a name: lower-case letters, digits, dots and hyphens", s.Name)
	}
	for _, e := range entries(n.Get("env")) {
		if !envName.MatchString(e.Key) {
			p.Addf(e.Pos, "%q is not the name of an environment variable", e.Key)
		}
	}
	if len(s.Interpreter) > 0 && !strings.HasPrefix(s.Interpreter[0], "/") {
		p.Addf(n.At("interpreter"), "expected the interpreter's absolute path, found %q", s.Interpreter[0])
	}
	return p.Err()
}

// Validate checks that it is whole, of one form or the other.
func (s *PackageSource) Validate(n *node.Node) error {
	p := &node.Problems{}
	need := func(keys ...string) {
		for _, key := range keys {
			if n.Get(key) == nil {
				p.Addf(n.Pos, "missing key %q", key)
			}
		}
	}
	if s.Deb != nil {
		need("sha256")
		for _, key := range []string{"url", "suite", "components", "fingerprint", "key"} {
			if n.Get(key) != nil {
				p.Addf(n.At(key), `%q does not go with "deb"`, key)
			}
		}
		switch {
		case s.SHA256 == "":
		case !hexDigest.MatchString(s.SHA256):
			p.Addf(n.At("sha256"), "expected 64 lower-case hex digits")
		case s.SHA256 != s.Deb.SHA256:
			p.Addf(n.At("sha256"), "%s has the digest %s", s.Deb.Name, s.Deb.SHA256)
		}
		return p.Err()
	}
	need("url", "suite", "fingerprint", "key")
	if n.Get("sha256") != nil {
		p.Addf(n.At("sha256"), `"sha256" goes with "deb" only`)
	}
	if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Host == "" && u.Scheme != "file" ||
		u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file") {
		p.Addf(n.At("url"), "expected an http, https or file URL, found %q", s.URL)
	}
	s.Fingerprint = strings.ToUpper(strings.ReplaceAll(s.Fingerprint, " ", ""))
	if s.Fingerprint != "" && !fingerprint.MatchString(s.Fingerprint) {
		p.Addf(n.At("fingerprint"), "expected the 40 or 64 hex digits of an OpenPGP fingerprint")
	}
	if len(s.Components) == 0 {
		s.Components = []string{"main"}
	}
	return p.Err()
}

// Validate checks names.
func (g *Gates) Validate(n *node.Node) error {
	p := &node.Problems{}
	outputs := []string{"container", "qcow2", "raw"}
	for _, e := range entries(n.Get("max-size")) {
		if !slices.Contains(outputs, e.Key) {
			p.Addf(e.Pos, "%q is no output: expected one of %s", e.Key, strings.Join(outputs, ", "))
		}
	}
	checkPackages(p, n.Get("forbid-packages"))
	for name, least := range g.MinScore {
		for level, percent := range map[string]int{"level-1": least.Level1, "level-2": least.Level2} {
			if percent < 0 || percent > 100 {
				// A child may set what its parent's map has.
				p.Addf(n.Get("min-score").Get(name).Get(level).Pos, "expected a score from 0 to 100 percent, found %d", percent)
			}
		}
	}
	return p.Err()
}

// Validate checks the user's form.
func (c *Container) Validate(n *node.Node) error {
	if c.User != "" && !containerUser.MatchString(c.User) {
		return node.Errorf(n.At("user"), "expected user or user:group, found %q", c.User)
	}
	return nil
}

// Validate checks that it asks exactly one thing.
func (b *Probe) Validate(n *node.Node) error {
	asks := 0
	for _, key := range []string{"http", "tcp", "command", "unit"} {
		if n.Get(key) != nil {
			asks++
		}
	}
	if asks != 1 || b.Command != nil && len(b.Command) == 0 {
		return node.Errorf(n.Pos, `expected exactly one of "http", "tcp", "command" and "unit"`)
	}
	return nil
}

// Validate checks ranges.
func (h *HTTPProbe) Validate(n *node.Node) error {
	p := &node.Problems{}
	checkPort(p, n, h.Port)
	if h.Path != "" && !strings.HasPrefix(h.Path, "/") {
		p.Addf(n.Get("path").Pos, "expected a path that begins with a slash, found %q", h.Path)
	}
	if h.Status != 0 && (h.Status < 100 || h.Status > 599) {
		p.Addf(n.Get("status").Pos, "expected a status from 100 to 599, found %d", h.Status)
	}
	return p.Err()
}

// Validate checks ranges.
func (t *TCPProbe) Validate(n *node.Node) error {
	p := &node.Problems{}
	checkPort(p, n, t.Port)
	return p.Err()
}

func checkPort(p *node.Problems, n *node.Node, port int) {
	if port < 1 || port > 65535 {
		p.Addf(n.Get("port").Pos, "expected a port from 1 to 65535, found %d", port)
	}
}

func items(n *node.Node) []*node.Node {
	if n == nil {
		return nil
	}
	return n.Items
}

func entries(n *node.Node) []node.Entry {
	if n == nil {
		return nil
	}
	return n.Entries
}
