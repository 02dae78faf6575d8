package proofcontrols_test

import (
	"io/fs"
	"strings"
	"testing"

	"imgbuild/images/baselines"
	"imgbuild/images/control"
	"imgbuild/provisioners/system"
)

// scene is a tree that controls are tried on. A control is tried in the first
// scene that it applies to.
type scene struct {
	// name says how it differs from the stock tree of its kind; "" is that.
	name string
	tree system.Reader
	// prepare does what happened there before; nil is nothing.
	prepare func(h hand)
}

func scenesOf(t *testing.T, all *trees, output control.Output) []scene {
	t.Helper()
	sites, tls := webSites(t), tlsSites(t)
	if output == control.Container {
		return []scene{
			{"", all.container, nil}, {"used", all.container, aged}, {"other programs", all.container, otherPrograms},
			{"web servers", all.programs, sites}, {"TLS", all.programs, tls},
		}
	}
	return []scene{
		{"", all.machine, nil}, {"used", all.machine, aged}, {"other programs", all.machine, otherPrograms},
		{"web servers", all.programs, sites}, {"TLS", all.programs, tls}, {"nginx alone", all.programs, onlyOne("nginx")},
		{"a forwarded journal", all.programs, forwarded},
	}
}

// aged is a system that was used: tools left the copies that they keep.
func aged(h hand) {
	for _, name := range []string{"passwd", "group", "shadow", "gshadow"} {
		h.create("/etc/"+name+"-", h.text("/etc/"+name), system.Attr{Mode: 0o666})
	}
	if h.exists("/etc/fstab") {
		h.append("/etc/fstab", "tmpfs /dev/shm tmpfs defaults 0 0\n")
	}
	if h.exists("/etc/systemd") {
		h.append("/etc/systemd/journal-upload.conf", "\n[Upload]\nURL=http://logs.example\n")
	}
}

// installed adds a package to dpkg's records.
func installed(h hand, name string) {
	h.t.Helper()
	h.append(dpkgStatus, "\nPackage: "+name+"\nStatus: install ok installed\nPriority: optional\nSection: admin\nMaintainer: Somebody <a@example.org>\n"+
		"Architecture: amd64\nVersion: 1.0-1\nDescription: put here by hand\n")
}

// otherPrograms has what is too much to install, with the files that controls
// look at, as the packages bring them.
func otherPrograms(h hand) {
	for _, name := range []string{"gdm3", "iptables-persistent", "postfix", "iptables", "aide-common"} {
		installed(h, name)
	}
	const table = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
	for name, text := range map[string]string{
		"/etc/gdm3/daemon.conf":  "[daemon]\n\n[security]\n\n[xdmcp]\nEnable=true\n",
		"/etc/iptables/rules.v4": table,
		"/etc/iptables/rules.v6": table,
		"/etc/postfix/main.cf":   "myhostname = a\nmynetworks = 127.0.0.0/8 [::1]/128\ninet_interfaces = all\n",
		"/usr/lib/systemd/system/netfilter-persistent.service": "[Unit]\nDescription=netfilter persistent configuration\n[Service]\nType=oneshot\nRemainAfterExit=yes\n" +
			"ExecStart=/usr/sbin/netfilter-persistent start\n[Install]\nWantedBy=multi-user.target\nAlias=iptables.service\nAlias=ip6tables.service\n",
		"/etc/default/aide":                            "# CRON_DAILY_RUN=yes\n",
		"/usr/lib/systemd/system/dailyaidecheck.timer": "[Unit]\nDescription=Daily AIDE check\n[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n",
		"/usr/lib/systemd/system/ufw.service":          "[Unit]\nDescription=Uncomplicated firewall\n[Service]\nType=oneshot\nExecStart=/usr/lib/ufw/ufw-init start quiet\n[Install]\nWantedBy=multi-user.target\n",
	} {
		h.write(name, text)
	}
}

// webSites has the shipped sites, as the shipped recipes put them.
func webSites(t *testing.T) func(h hand) {
	text := func(name string) string {
		data, err := fs.ReadFile(baselines.FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	site, container, apache := text("files/nginx/site.conf"), text("files/nginx/container.conf"), text("files/apache/site.conf")
	return func(h hand) {
		h.remove("/etc/nginx/sites-enabled/default")
		h.remove("/etc/apache2/sites-enabled/000-default.conf")
		h.write("/etc/nginx/conf.d/site.conf", site)
		h.write("/etc/nginx/container.conf", container)
		h.write("/etc/apache2/sites-enabled/site.conf", apache)
		h.write(bootMenu, "menuentry 'Debian' {\n\tlinux /vmlinuz root=x\n}\n")
	}
}

// tlsSites has sites besides that speak TLS, and one that asks another server.
func tlsSites(t *testing.T) func(h hand) {
	plain := webSites(t)
	return func(h hand) {
		plain(h)
		h.write("/etc/nginx/conf.d/tls.conf", "server {\n\tlisten 443 ssl;\n\tserver_name a;\n\tssl_certificate /k/c.pem;\n\tssl_certificate_key /k/k.pem;\n"+
			"\terror_page 404 /x;\n\terror_page 500 /y;\n\tlocation / {\n\t\tproxy_pass https://127.0.0.1:9;\n\t\tproxy_set_header Host $host;\n\t}\n}\n")
		h.remove("/etc/apache2/sites-enabled/site.conf")
		h.write("/etc/apache2/sites-enabled/tls.conf", "<VirtualHost *:443>\n\tDocumentRoot /srv/www\n\tSSLEngine on\n\tSSLProtocol all\n\tSSLHonorCipherOrder off\n</VirtualHost>\n"+
			"<Directory /srv/www>\n\tOptions +Indexes +Includes\n\tAllowOverride All\n\tRequire all granted\n</Directory>\n")
		for _, name := range []string{"ssl.load", "socache_shmcb.load"} {
			h.link("../mods-available/"+name, "/etc/apache2/mods-enabled/"+name)
		}
	}
}

// onlyOne has one of the two web servers.
func onlyOne(keep string) func(h hand) {
	other := map[string]string{"nginx": "apache2", "apache2": "nginx"}[keep]
	return func(h hand) { uninstall(h, other) }
}

// forwarded has a journal that hands everything to rsyslog.
func forwarded(h hand) { h.append("/etc/systemd/journald.conf", "ForwardToSyslog=yes\n") }

const dpkgStatus = "/var/lib/dpkg/status"

// uninstall takes a package's record out, and tells whether there was one.
func uninstall(h hand, name string) bool {
	h.t.Helper()
	text := h.text(dpkgStatus)
	var left []string
	for _, record := range strings.Split(text, "\n\n") {
		if !strings.HasPrefix(strings.TrimLeft(record, "\n"), "Package: "+name+"\n") {
			left = append(left, record)
		}
	}
	if h.write(dpkgStatus, strings.Join(left, "\n\n")); strings.Join(left, "\n\n") == text {
		return false
	}
	return true
}
