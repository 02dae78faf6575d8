package live

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"

	"imgbuild/images/fault"
)

// Client is from where connections are made.
type Client struct {
	// Home has .ssh of the user called User.
	Home, User string
	// Agent is the socket of the user's SSH agent; "" without one.
	Agent string
	// Identities are private keys that are tried first, by file.
	Identities []string
	// ConfigFiles are in the form of ssh_config(5), of which the first that says
	// something counts. Those that are not there say nothing.
	ConfigFiles []string
	// KnownHosts are the files of host keys that are believed, beside those that
	// a configuration names.
	KnownHosts []string
}

// NewClient is that of a user: with their own configuration, or another file in
// its place, and the system's.
func NewClient(home, user, agent, config string) Client {
	c := Client{
		Home: home, User: user, Agent: agent,
		ConfigFiles: []string{filepath.Join(home, ".ssh", "config"), "/etc/ssh/ssh_config"},
		KnownHosts:  []string{filepath.Join(home, ".ssh", "known_hosts"), filepath.Join(home, ".ssh", "known_hosts2"), "/etc/ssh/ssh_known_hosts"},
	}
	switch config {
	case "":
	case "none":
		c.ConfigFiles = nil
	default:
		c.ConfigFiles = []string{config}
	}
	return c
}

// Host is where a server is reached.
type Host struct {
	// Name is a host name or an address, Port a number.
	User, Name, Port string
	// identities are of the configuration; only them when exclusive.
	identities []string
	exclusive  bool
	knownHosts []string
}

// Address is host:port.
func (h Host) Address() string { return net.JoinHostPort(h.Name, h.Port) }

// String is ssh://user@host:port.
func (h Host) String() string {
	u := url.URL{Scheme: "ssh", User: url.User(h.User), Host: h.Address()}
	if h.Port == "22" {
		u.Host = strings.TrimSuffix(u.Host, ":22")
	}
	return u.String()
}

// command is what a user types to try the same.
func (h Host) command() string {
	port := ""
	if h.Port != "22" {
		port = "-p " + h.Port + " "
	}
	return fmt.Sprintf("ssh %s%s@%s true", port, h.User, h.Name)
}

// A name must not be taken for anything else by those who read it.
var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}\$?$`)
)

// Find reads ssh://[user@]host[:port], the scheme may be left out, and completes
// it by the client's configuration.
func (c Client) Find(target string) (Host, error) {
	wrong := func(what string) (Host, error) {
		return Host{}, fault.Inputf("%q is no server: %s", target, what).WithHint("write ssh://user@host:port; user and port may be left out")
	}
	text := target
	if !strings.Contains(text, "://") {
		text = "ssh://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return wrong("it cannot be read")
	}
	_, password := u.User.Password()
	switch {
	case u.Scheme != "ssh":
		return wrong("the scheme is not ssh")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return wrong("something follows the host")
	case password:
		return Host{}, fault.Inputf("a password is in the name of the server").WithHint("log in with a key")
	}
	settings, err := c.settings(u.Hostname())
	if err != nil {
		return Host{}, err
	}
	h := Host{
		Name: first(settings.text("HostName"), u.Hostname()), Port: first(u.Port(), settings.text("Port"), "22"),
		User: first(u.User.Username(), settings.text("User"), c.User), exclusive: strings.EqualFold(settings.text("IdentitiesOnly"), "yes"),
	}
	h.Name = strings.ReplaceAll(h.Name, "%h", u.Hostname())
	if net.ParseIP(h.Name) == nil && !hostName.MatchString(h.Name) {
		return wrong("the host's name is none")
	}
	if !userName.MatchString(h.User) {
		return wrong("the user's name is none")
	}
	if port, err := strconv.ParseUint(h.Port, 10, 16); err != nil || port == 0 {
		return wrong("the port is none")
	}
	for _, key := range []string{"ProxyJump", "ProxyCommand"} {
		if via := settings.text(key); via != "" && !strings.EqualFold(via, "none") {
			return Host{}, fault.Inputf("ssh_config reaches %s by %s, which imgbuild does not follow", u.Hostname(), key).
				WithHint("forward a port (ssh -L) and check ssh://user@127.0.0.1:PORT, or run the check beyond")
		}
	}
	fill := strings.NewReplacer("%%", "%", "%d", c.Home, "%h", h.Name, "%r", h.User, "%u", c.User, "%p", h.Port)
	for _, file := range settings.all("IdentityFile") {
		h.identities = append(h.identities, c.inHome(fill.Replace(file)))
	}
	for _, files := range settings.all("UserKnownHostsFile") {
		for _, file := range strings.Fields(files) {
			h.knownHosts = append(h.knownHosts, c.inHome(fill.Replace(file)))
		}
	}
	return h, nil
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func (c Client) inHome(file string) string {
	file = strings.Trim(file, `"`)
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		return filepath.Join(c.Home, rest)
	}
	return file
}

// settings are what configurations say of one host, the most important first.
type settings struct {
	configs []*ssh_config.Config
	host    string
}

// maxConfig is the largest configuration that is read, in bytes.
const maxConfig = 1 << 20

func (c Client) settings(host string) (*settings, error) {
	s := &settings{host: host}
	for _, file := range c.ConfigFiles {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the configuration of SSH: %w", err)
		}
		data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		if len(data) > maxConfig {
			return nil, fault.Inputf("%s is larger than %d bytes", file, maxConfig)
		}
		config, err := decode(data)
		if err != nil {
			return nil, fault.Inputf("%s cannot be followed", file).Because(err).
				WithHint("write the server out (ssh://user@host:port, --identity FILE) and add --ssh-config none")
		}
		s.configs = append(s.configs, config)
	}
	return s, nil
}

// decode reads a configuration; its parser panics on what it does not know.
func decode(data []byte) (config *ssh_config.Config, err error) {
	defer func() {
		if r := recover(); r != nil {
			config, err = nil, fmt.Errorf("%v", r)
		}
	}()
	return ssh_config.DecodeBytes(data)
}

func (s *settings) text(key string) string {
	for _, value := range s.all(key) {
		if value != "" {
			return value
		}
	}
	return ""
}

func (s *settings) all(key string) []string {
	var list []string
	for _, config := range s.configs {
		values, err := config.GetAll(s.host, key)
		if err != nil {
			continue // of a node that the parser itself made
		}
		list = append(list, values...)
	}
	return list
}
