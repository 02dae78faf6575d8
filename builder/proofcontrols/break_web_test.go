package proofcontrols_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// webWrong are arguments that directives may have and must not have here.
var webWrong = map[string]string{
	"autoindex": "on", "server_tokens": "on", "gzip": "on", "ssl_session_tickets": "on", "ssl_stapling": "off", "ssl_stapling_verify": "off",
	"proxy_ssl_verify": "off", "client_body_timeout": "600s", "client_header_timeout": "600s", "send_timeout": "600s", "keepalive_timeout": "600s",
	"client_max_body_size": "10g", "large_client_header_buffers": "8 64k", "access_log": "off", "error_log": "/dev/null crit", "user": "root",
	"TraceEnable": "On", "ServerTokens": "Full", "ServerSignature": "On", "Timeout": "300", "KeepAlive": "Off", "KeepAliveTimeout": "300",
	"MaxKeepAliveRequests": "5", "LimitRequestBody": "0", "LimitRequestLine": "65536", "LimitRequestFields": "0", "LimitRequestFieldSize": "65536",
	"FileETag": "INode MTime Size", "LogLevel": "emerg", "ErrorLog": "/dev/null", "User": "root", "Group": "root", "SSLCompression": "on",
	"SSLInsecureRenegotiation": "on", "SSLHonorCipherOrder": "off", "SSLUseStapling": "off", "SecRuleEngine": "Off", "HttpProtocolOptions": "Unsafe",
	"AllowOverride": "All", "AllowOverrideList": "Redirect", "Options": "Indexes Includes", "RequestReadTimeout": "header=0 body=0",
}

// Where directives may not stand, by the programs' documentation.
var (
	mainOnly   = []string{"user", "pid", "User", "Group", "ServerTokens", "SSLStaplingCache", "PidFile", "Mutex"}
	placeOnly  = []string{"Options", "AllowOverride", "AllowOverrideList"}
	serverOnly = []string{
		"ssl_session_tickets", "ssl_stapling", "ssl_stapling_verify", "client_header_timeout", "large_client_header_buffers",
		"TraceEnable", "Timeout", "KeepAlive", "KeepAliveTimeout", "MaxKeepAliveRequests", "LimitRequestLine", "LimitRequestFields",
		"LimitRequestFieldSize", "ErrorLog", "SSLCompression", "SSLInsecureRenegotiation", "SSLHonorCipherOrder", "SSLUseStapling",
		"HttpProtocolOptions", "RequestReadTimeout",
	}
)

func nginx(name string, s state) []way {
	return web(name, s, webServer{
		files: func(h hand) []string { return h.files("/etc/nginx") }, end: ";",
		server: regexp.MustCompile(`^\s*server\s*\{`), place: regexp.MustCompile(`^\s*location\s.*\{`), wide: "/etc/nginx/conf.d/zz-local.conf",
	})
}

func apache(name string, s state) []way {
	name, _, _ = strings.Cut(name, " in /")
	place := regexp.MustCompile(`^\s*<Directory\s.*>`)
	if s.Directory != "" {
		place = regexp.MustCompile(`^\s*<Directory\s+"?` + regexp.QuoteMeta(s.Directory) + `/?"?>`)
	}
	return web(name, s, webServer{
		files: func(h hand) []string { return h.files("/etc/apache2") }, fold: "(?i)",
		server: regexp.MustCompile(`^\s*<VirtualHost\s.*>`), place: place, wide: "/etc/apache2/conf-enabled/zz-local.conf",
	})
}

// webServer is how one program's configuration is written.
type webServer struct {
	files func(h hand) []string
	// end is what a directive ends with, and fold the flags of a pattern.
	end, fold string
	// server and place are the first lines of blocks.
	server, place *regexp.Regexp
	// wide is a file that is read for every server.
	wide string
}

func web(key string, s state, p webServer) []way {
	key, _, _ = strings.Cut(key, " #")
	name, selector, _ := strings.Cut(key, " ")
	loose := func(text string) string {
		words := strings.Fields(text)
		for i, w := range words {
			words[i] = `["']?` + regexp.QuoteMeta(strings.Trim(w, `"'`)) + `["']?`
		}
		return strings.Join(words, `\s+`)
	}
	is := regexp.MustCompile(p.fold + `^\s*<?` + loose(key) + `(\s|;|>|$)`)
	// within writes a line into blocks: for nginx at the start, where it is the only
	// one; for Apache at the end, where it is the last.
	within := func(block *regexp.Regexp, text string) func(h hand) bool {
		return func(h hand) bool {
			return everywhere(p.files(h), func(file string) bool {
				closing := ""
				return h.edit(file, func(line string) string {
					switch {
					case block.MatchString(line) && p.end != "":
						return line + "\n\t" + text
					case block.MatchString(line):
						closing = "</" + strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("< \t", r) })[0]
					case closing != "" && strings.HasPrefix(strings.TrimSpace(line), closing):
						closing = ""
						return "\t" + text + "\n" + line
					}
					return line
				})
			})
		}
	}
	subject := name
	text := func(arguments string) string { return strings.TrimSpace(key+" "+arguments) + p.end }
	if s.Absent {
		value := map[string]string{"working_directory": "/var/tmp", "dav_methods": "PUT", "gzip_static": "on", "CoreDumpDirectory": "/tmp", "ScoreBoardFile": "/tmp/x", "Alias": "/usr/share/apache2/icons/"}[name]
		return []way{
			{name: "added to a server", subject: subject, do: within(p.server, text(value))},
			{name: "added for all", subject: subject, do: func(h hand) bool { h.write(p.wide, text(value)+"\n"); return true }},
		}
	}
	list := []way{{name: "taken out", subject: subject, do: func(h hand) bool {
		if len(s.With) > 0 {
			return takeBlock(h, p, is)
		}
		return everywhere(p.files(h), func(file string) bool { return h.out(file, is) })
	}}}
	if len(s.With) > 0 {
		return append(list, way{name: "its content taken out", subject: subject, do: func(h hand) bool {
			return everywhere(p.files(h), func(file string) bool {
				inside := false
				return h.edit(file, func(line string) string {
					switch {
					case is.MatchString(line):
						inside = true
					case inside && (strings.Contains(line, "}") || strings.Contains(line, "</")):
						inside = false
					case inside:
						for d := range s.With {
							if strings.HasPrefix(strings.TrimSpace(line), d) {
								return gone
							}
						}
					}
					return line
				})
			})
		}})
	}
	wrong := webWrong[name]
	if wrong == "" && selector != "" && (name == "add_header" || name == "Header") && (s.Matches != "" || s.OneOf != nil) {
		wrong = "broken"
	}
	if wrong != "" {
		list = append(list,
			way{name: "set to " + wrong + " in a server", subject: subject, do: func(h hand) bool {
				return !slices.Contains(mainOnly, name) && !slices.Contains(placeOnly, name) && within(p.server, text(wrong))(h)
			}},
			way{name: "set to " + wrong + " in a place", subject: subject, do: func(h hand) bool {
				return !slices.Contains(mainOnly, name) && !slices.Contains(serverOnly, name) && within(p.place, text(wrong))(h)
			}},
			way{name: "changed to " + wrong, subject: subject, do: func(h hand) bool {
				return everywhere(p.files(h), func(file string) bool {
					return h.edit(file, func(line string) string {
						if is.MatchString(line) {
							return text(wrong)
						}
						return line
					})
				})
			}})
	}
	if name == "listen" {
		list = append(list, way{name: "listening elsewhere too", subject: name, do: within(p.server, "listen 8081;")})
	}
	if name == "add_header" {
		list = append(list, way{name: "lost where another header is added", subject: subject, do: within(p.place, "add_header X-Own value;")})
	}
	return list
}

// takeBlock takes out blocks of which the first line matches.
func takeBlock(h hand, p webServer, is *regexp.Regexp) bool {
	return everywhere(p.files(h), func(file string) bool {
		depth := 0
		return h.edit(file, func(line string) string {
			if depth == 0 && !is.MatchString(line) {
				return line
			}
			trimmed := strings.TrimSpace(line)
			depth += strings.Count(line, "{") - strings.Count(line, "}")
			switch {
			case strings.HasPrefix(trimmed, "</"):
				depth--
			case strings.HasPrefix(trimmed, "<"):
				depth++
			}
			return gone
		})
	})
}

func apacheModules(name string, s state) []way {
	const enabled = "/etc/apache2/mods-enabled/"
	load := "LoadModule " + name + "_module /usr/lib/apache2/modules/mod_" + name + ".so\n"
	if s.State == "disabled" {
		return []way{
			{name: "enabled", subject: name, do: func(h hand) bool {
				if h.exists("/etc/apache2/mods-available/" + name + ".load") {
					h.link("../mods-available/"+name+".load", enabled+name+".load")
				} else {
					h.write(enabled+name+".load", load)
				}
				return true
			}},
			{name: "loaded by another file", subject: name, do: func(h hand) bool { h.write("/etc/apache2/conf-enabled/zz-local.conf", load); return true }},
		}
	}
	return []way{
		{name: "disabled", subject: name, do: func(h hand) bool {
			found := false
			for _, file := range h.names(path.Clean(enabled)) {
				if strings.HasPrefix(path.Base(file), name+".") {
					h.remove(file)
					found = true
				}
			}
			return found
		}},
	}
}

func tlsPolicies(_ string, s state) []way {
	var list []way
	for _, program := range s.For {
		p, protocols, ciphers := webServer{
			files: func(h hand) []string { return h.files("/etc/nginx") }, end: ";", server: regexp.MustCompile(`^\s*server\s*\{`),
		}, "ssl_protocols TLSv1 TLSv1.2 TLSv1.3;", "ssl_ciphers ALL;"
		if program == "apache" {
			p = webServer{files: func(h hand) []string { return h.files("/etc/apache2") }, server: regexp.MustCompile(`^\s*<VirtualHost\s.*>`)}
			protocols, ciphers = "SSLProtocol all +TLSv1", "SSLCipherSuite ALL"
		}
		inServer := func(text string) func(h hand) bool {
			keyword, _, _ := strings.Cut(text, " ")
			return func(h hand) bool {
				return everywhere(p.files(h), func(file string) bool {
					return h.edit(file, func(line string) string {
						switch {
						case p.server.MatchString(line):
							return line + "\n\t" + text
						case strings.HasPrefix(strings.TrimSpace(line), keyword+" ") && strings.HasPrefix(line, "\t"):
							return gone
						}
						return line
					})
				})
			}
		}
		keyword := func(text string) string { k, _, _ := strings.Cut(text, " "); return k }
		taken := func(text string) func(h hand) bool {
			return func(h hand) bool {
				is := word(keyword(text))
				return everywhere(p.files(h), func(file string) bool {
					return h.edit(file, func(line string) string {
						if is.MatchString(line) {
							return regexp.MustCompile(`\S.*`).ReplaceAllString(line, strings.ReplaceAll(text, "$", "$$"))
						}
						return line
					})
				})
			}
		}
		list = append(list,
			way{name: "an old version in a server", subject: keyword(protocols), do: inServer(protocols)},
			way{name: "an old version everywhere", subject: keyword(protocols), do: taken(protocols)})
		if s.Ciphers != "" {
			list = append(list,
				way{name: "all ciphers in a server", subject: keyword(ciphers), do: inServer(ciphers)},
				way{name: "all ciphers everywhere", subject: keyword(ciphers), do: taken(ciphers)})
		}
	}
	return list
}
