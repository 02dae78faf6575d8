#!/bin/sh
# Makes what every server must have of its own and an image must not carry.
# It runs once in a server's life.
set -eu

done=/var/lib/imgbuild/first-boot.done
[ ! -e "$done" ] || exit 0

has() { command -v "$1" >/dev/null 2>&1; }

if has ssh-keygen && [ -d /etc/ssh ]; then
	ssh-keygen -A >/dev/null
fi
if has make-ssl-cert && [ ! -e /etc/ssl/private/ssl-cert-snakeoil.key ]; then
	make-ssl-cert generate-default-snakeoil
fi
if has pg_createcluster; then
	for bin in /usr/lib/postgresql/*/bin/initdb; do
		[ -x "$bin" ] || continue
		version=${bin#/usr/lib/postgresql/}
		version=${version%%/*}
		if [ ! -e "/var/lib/postgresql/$version/main" ]; then
			pg_createcluster "$version" main >/dev/null
			if [ -d /run/systemd/system ]; then
				systemctl daemon-reload
				systemctl --no-block start "postgresql@$version-main.service"
			fi
		fi
	done
fi
mkdir -p "${done%/*}"
: >"$done"
