package proofcontrols_test

// evasions are further ways around a control, by what its program reads besides
// the file that the control speaks of.
var evasions = map[string][]way{
	"chrony-user": {{name: "in a file included at the end", subject: "user", do: func(h hand) bool {
		return h.added("/etc/chrony/late.conf", "user root\n") && h.added("/etc/chrony/chrony.conf", "include /etc/chrony/late.conf\n")
	}}},
	"aide-daily-debian":        {written("/etc/default/aide", "CRON_DAILY_RUN=no\n")},
	"apt-no-weak-dependencies": {written("/etc/apt/apt.conf.d/99-local", "APT::Install-Recommends \"true\";\n")},
	"core-limit":               {named("core", written("/etc/security/limits.d/zz-local.conf", "* - core unlimited\n"))},
	"sudo-password":            {named("exempt_group", written("/etc/sudoers.d/local", "Defaults exempt_group=adm\n"))},
	"sshd-no-root":             {named("PermitRootLogin", written("/etc/ssh/sshd_config.d/0.conf", "match all\npermitrootlogin yes\n"))},
	"nginx-methods":            {named("limit_except", written("/etc/nginx/conf.d/zz-more.conf", moreServer))},
	"nginx-no-hidden-files":    {named("location", written("/etc/nginx/conf.d/zz-more.conf", moreServer))},
	"nginx-own-pages":          {named("error_page", written("/etc/nginx/conf.d/zz-more.conf", moreServer))},
	"nginx-no-listings":        {named("autoindex", written("/etc/nginx/conf.d/zz-more.conf", moreServer))},
	"nginx-no-version":         {named("server_tokens", written("/etc/nginx/conf.d/zz-more.conf", moreServer))},
	"apache-no-override":       {named("AllowOverride", written("/etc/apache2/conf-enabled/zz-more.conf", moreDirectory))},
	"apache-no-dangerous-options": {
		named("Options", written("/etc/apache2/conf-enabled/zz-more.conf", moreDirectory)),
		named("Options", written("/etc/apache2/conf-enabled/zz-more.conf", "<Location /x>\n\tOptions +ExecCGI\n</Location>\n")),
	},
	"apache-no-listings": {named("autoindex", written("/etc/apache2/conf-enabled/zz-more.conf", "LoadModule autoindex_module /usr/lib/apache2/modules/mod_autoindex.so\n"))},
}

const (
	moreServer    = "server {\n\tlisten 8080;\n\tserver_name more;\n\tserver_tokens on;\n\tlocation / {\n\t\troot /srv/more;\n\t\tautoindex on;\n\t}\n}\n"
	moreDirectory = "<Directory /srv/more>\n\tOptions Indexes\n\tAllowOverride All\n</Directory>\n"
)

// written adds to a file, or makes it.
func written(name, text string) way {
	return way{name: name + ": " + text, subject: name, do: func(h hand) bool { return h.added(name, text) }}
}

// named is a way that a difference names otherwise than by the file.
func named(subject string, w way) way {
	w.subject = subject
	return w
}
