package provisioners_test

// webCases are those of web servers.
func webCases() []applyCase {
	return []applyCase{
		{"nginx directive", "nginx:\n  autoindex: \"off\"\n  client_max_body_size: {at-most: 100k}", map[string]string{
			"/etc/nginx/nginx.conf":              "-rw-r----- 0:33 user www-data;\nhttp {\n\tinclude conf.d/*.conf;\n\tserver { listen 80; autoindex off; }\n}\n",
			"/etc/nginx/conf.d":                  "drwxr-xr-x 0:0",
			"/etc/nginx/conf.d/00-imgbuild.conf": "-rw-r--r-- 0:0 # Written by imgbuild from the recipe's nginx states.\nclient_max_body_size 100k;\n",
		}},
		{"apache directive", "apache:\n  ServerTokens: Prod\n  AllowOverride: {directory: /srv, value: None}\n  TraceEnable: \"off\"", map[string]string{
			"/etc/apache2/apache2.conf":                 "-rw-r--r-- 0:0 ServerTokens Prod\nIncludeOptional mods-enabled/*.load\nIncludeOptional conf-enabled/*.conf\n",
			"/etc/apache2/conf-available":               "drwxr-xr-x 0:0",
			"/etc/apache2/conf-available/imgbuild.conf": "-rw-r--r-- 0:0 # Written by imgbuild from the recipe's apache states.\n<Directory /srv>\n\tAllowOverride None\n</Directory>\nTraceEnable off\n",
			"/etc/apache2/conf-enabled":                 "drwxr-xr-x 0:0",
			"/etc/apache2/conf-enabled/imgbuild.conf":   "-> ../conf-available/imgbuild.conf",
		}},
		{"apache module", "apache-modules: {auth_basic: enabled, status: disabled}", map[string]string{
			"/etc/apache2/mods-enabled/auth_basic.load":           "-> ../mods-available/auth_basic.load",
			"/etc/apache2/mods-enabled/authn_core.load":           "-> ../mods-available/authn_core.load",
			"/etc/apache2/mods-enabled/status.load":               "gone",
			"/etc/apache2/mods-enabled/status.conf":               "gone",
			"/var/lib/apache2":                                    "drwxr-xr-x 0:0",
			"/var/lib/apache2/module":                             "drwxr-xr-x 0:0",
			"/var/lib/apache2/module/enabled_by_admin":            "drwxr-xr-x 0:0",
			"/var/lib/apache2/module/enabled_by_admin/auth_basic": "-rw-r--r-- 0:0 ",
			"/var/lib/apache2/module/enabled_by_admin/authn_core": "-rw-r--r-- 0:0 ",
			"/var/lib/apache2/module/disabled_by_admin":           "drwxr-xr-x 0:0",
			"/var/lib/apache2/module/disabled_by_admin/status":    "-rw-r--r-- 0:0 ",
		}},
		{"tls policy", "tls-policy:\n  server: {versions: [TLSv1.2, TLSv1.3], for: [nginx, openssl]}", map[string]string{
			"/etc/nginx/conf.d":                  "drwxr-xr-x 0:0",
			"/etc/nginx/conf.d/00-imgbuild.conf": "-rw-r--r-- 0:0 # Written by imgbuild from the recipe's nginx states.\nssl_protocols TLSv1.2 TLSv1.3;\n",
			"/etc/ssl/openssl.cnf": "-rw-r--r-- 0:0 openssl_conf = openssl_init\nHOME = .\n\n[openssl_init]\nssl_conf = ssl_sect\n\n[ssl_sect]\n" +
				"system_default = system_default_sect\n\n[system_default_sect]\nMinProtocol = TLSv1.2\n",
		}},
	}
}
