package provisioners

import (
	"github.com/invopop/jsonschema"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/account"
	"imgbuild/provisioners/apache"
	"imgbuild/provisioners/apparmor"
	"imgbuild/provisioners/audit"
	"imgbuild/provisioners/dpkg"
	"imgbuild/provisioners/file"
	"imgbuild/provisioners/kernel"
	"imgbuild/provisioners/logrotate"
	"imgbuild/provisioners/mount"
	"imgbuild/provisioners/nftables"
	"imgbuild/provisioners/nginx"
	"imgbuild/provisioners/pam"
	"imgbuild/provisioners/rsyslog"
	"imgbuild/provisioners/service"
	"imgbuild/provisioners/setting"
	"imgbuild/provisioners/sshd"
	"imgbuild/provisioners/sudo"
	"imgbuild/provisioners/sweep"
	"imgbuild/provisioners/tlspolicy"
)

// resourceType is one key below "resources".
type resourceType struct {
	key string
	// decode reads the resource that an entry below the key names.
	decode decoder
	// sample is of the decoded type and short describes the short form, nil
	// without one: both for the schema, as is about.
	sample any
	short  *jsonschema.Schema
	about  string
	// windows says that the type is of systems of Windows too.
	windows bool
	// boots marks what is written into files that only a disk has.
	boots bool
}

// types lists the types of resources in the order in which they are applied:
// what owns before what is owned, directories before what lies in them, what looks
// at the whole system last.
func types() []resourceType {
	text := func(values ...any) *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Enum: values} }
	return []resourceType{
		{
			key: "packages", about: "Debian packages that must or must not be installed, by name; a text is the state", sample: dpkg.Package{}, short: text("present", "absent"), decode: of(dpkg.New),
		},
		{
			key: "groups", about: "local groups, by name", sample: account.Group{}, decode: of(account.NewGroup),
		},
		{
			key: "users", about: "local users, by name", sample: account.User{}, decode: of(account.NewUser),
		},
		{
			key: "directories", about: "directories and trees copied from the project, by path", sample: file.Directory{}, decode: of(file.NewDirectory), windows: true,
		},
		{
			key: "files", about: "regular files, by path", sample: file.File{}, windows: true,
			decode: func(e node.Entry, vars node.Vars) (Resource, error) { return file.NewFile(e, vars) },
		},
		{
			key: "lines", about: "single lines of files, by any name", sample: file.Line{}, decode: of(file.NewLine), windows: true,
		},
		{
			key: "symlinks", about: "symbolic links, by path; a text is the target", sample: file.Symlink{}, short: text(), decode: of(file.NewSymlink),
		},
		{
			key: "services", about: "systemd units, by name; a text is the state", sample: service.Service{}, short: text("enabled", "disabled", "masked"), decode: of(service.New),
		},
		{
			key: "sysctls", about: "parameters of the running kernel, by name; a text is the value", sample: kernel.Sysctl{}, short: value(), decode: of(kernel.NewSysctl),
		},
		{
			key: "kernel-modules", about: "modules of the kernel, by name; a text is the state", sample: kernel.Module{}, short: text("blocked", "loaded"), decode: of(kernel.NewModule),
		},
		{
			key: "kernel-arguments", about: "arguments on the kernel's command line, by name; a text is the value, {} is a bare word; they belong to boot:, as the menu does", sample: kernel.Argument{}, short: value(), decode: of(kernel.NewArgument), boots: true,
		},
		{
			key: "mounts", about: "mount points, by path; they belong to boot:, as /etc/fstab does", sample: mount.Mount{}, decode: of(mount.New), boots: true,
		},
		{
			key: "settings", about: "single values of configuration files, by any name", sample: setting.Setting{}, decode: of(setting.New),
		},
		{
			key: "units", about: "settings of systemd units, by the unit's name and Section.Key", sample: setting.Unit{}, decode: of(setting.NewUnit),
		},
		{
			key: "rsyslog", about: "what rsyslogd is configured to do with everything that it includes, by any name", sample: rsyslog.State{}, decode: of(rsyslog.New),
		},
		{
			key: "logrotate", about: "how logs are rotated, by the path of the log or a pattern of paths", sample: logrotate.State{}, decode: of(logrotate.New),
		},
		{
			key: "sshd", about: "effective values of the SSH server's configuration, by keyword; a text is the value", sample: sshd.Directive{}, short: value(), decode: of(sshd.New),
		},
		{
			key: "nginx", about: "directives of nginx in effect, by name; a text is the value, or present or absent", sample: nginx.State{}, short: text(), decode: of(nginx.New),
		},
		{
			key: "apache-modules", about: "Debian's modules of Apache httpd, by name; a text is the state", sample: apache.Module{}, short: text("enabled", "disabled"), decode: of(apache.NewModule),
		},
		{
			key: "apache", about: "directives of Apache httpd in effect, by name; a text is the value, or present or absent", sample: apache.State{}, short: text(), decode: of(apache.New),
		},
		{
			key: "tls-policy", about: "which versions of TLS and which cipher suites servers may speak, by any name", sample: tlspolicy.Policy{}, decode: of(tlspolicy.New),
		},
		{
			key: "pam", about: "lines of PAM's stacks, by any name", sample: pam.Line{}, decode: of(pam.New),
		},
		{
			key: "sudoers", about: "settings of sudo and tags of its rules, by name; a text is the value, absent means nowhere, {} is a flag that is on",
			sample: sudo.Setting{}, short: value(), decode: of(sudo.New),
		},
		{
			key: "ageing", about: "how passwords age, by user; all are those of every user with a usable one", sample: account.Ageing{}, decode: of(account.NewAgeing),
		},
		{
			key: "accounts", about: "rules that all accounts obey, by the rule's name", sample: account.Sweep{}, decode: of(account.NewSweep),
		},
		{
			key: "apparmor", about: "the state of all AppArmor profiles: enforced", sample: apparmor.Enforced{}, decode: of(apparmor.New),
		},
		{
			key: "nftables", about: "chains of the packet filter, by family, table and name", sample: nftables.State{}, decode: of(nftables.New),
		},
		// What looks at every file comes after all that makes files, and audit
		// rules last, for they name the setuid files that sweeps left.
		{
			key: "sweeps", about: "demands on every file of the system, by what is looked for", sample: sweep.Sweep{}, decode: of(sweep.New),
		},
		{
			key: "audit-rules", about: "rules of the Linux audit system, by any name", sample: audit.Rules{}, decode: of(audit.New),
		},
	}
}

type decoder func(e node.Entry, vars node.Vars) (Resource, error)

// of is the decoder of a type that has no use for variables.
func of[R Resource](decode func(node.Entry) (R, error)) decoder {
	return func(e node.Entry, _ node.Vars) (Resource, error) {
		r, err := decode(e)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}
