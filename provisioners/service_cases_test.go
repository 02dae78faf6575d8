package provisioners_test

// serviceCases are those of services.
func serviceCases() []applyCase {
	return []applyCase{
		{"service enabled", "services:\n  nginx: enabled\n  getty@: {state: enabled}", map[string]string{
			"/etc/systemd/system/multi-user.target.wants":               "drwxr-xr-x 0:0",
			"/etc/systemd/system/multi-user.target.wants/nginx.service": "-> /usr/lib/systemd/system/nginx.service",
			"/etc/systemd/system/sockets.target.wants":                  "drwxr-xr-x 0:0",
			"/etc/systemd/system/sockets.target.wants/nginx.socket":     "-> /usr/lib/systemd/system/nginx.socket",
			"/etc/systemd/system/web.service":                           "-> /usr/lib/systemd/system/nginx.service",
			"/etc/systemd/system/getty.target.wants":                    "drwxr-xr-x 0:0",
			"/etc/systemd/system/getty.target.wants/getty@tty1.service": "-> /usr/lib/systemd/system/getty@.service",
		}},
		{"service disabled", "services:\n  apt-daily.timer: disabled", map[string]string{
			"/etc/systemd/system/timers.target.wants/apt-daily.timer": "gone",
			"/etc/systemd/system-preset":                              "drwxr-xr-x 0:0",
			"/etc/systemd/system-preset/00-apt-daily.timer.preset":    "-rw-r--r-- 0:0 disable apt-daily.timer\n",
		}},
		{"service enabled without its companion", "services:\n  nginx.service: enabled\n  nginx.socket: disabled", map[string]string{
			"/etc/systemd/system/multi-user.target.wants":               "drwxr-xr-x 0:0",
			"/etc/systemd/system/multi-user.target.wants/nginx.service": "-> /usr/lib/systemd/system/nginx.service",
			"/etc/systemd/system/sockets.target.wants":                  "drwxr-xr-x 0:0",
			"/etc/systemd/system/web.service":                           "-> /usr/lib/systemd/system/nginx.service",
			"/etc/systemd/system-preset":                                "drwxr-xr-x 0:0",
			"/etc/systemd/system-preset/00-nginx.socket.preset":         "-rw-r--r-- 0:0 disable nginx.socket\n",
		}},
		{"service masked", "services:\n  apt-daily.timer: masked\n  not-there: masked", map[string]string{
			"/etc/systemd/system/apt-daily.timer":   "-> /dev/null",
			"/etc/systemd/system/not-there.service": "-> /dev/null",
		}},
	}
}

func serviceMistakes() []mistake {
	return []mistake{
		{"state", "services:\n  nginx: enable", `baselines/test.yaml:2:10: unknown value "enable" for "state"; did you mean "enabled"?`},
	}
}
