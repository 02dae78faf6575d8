#!/bin/sh
# Makes what every server must have of its own and an image must not carry. It
# runs once in a server's life. What its user may not make it names, and ends
# with status 3.
set -eu

done=/var/lib/imgbuild/first-boot.done
[ ! -e "$done" ] || exit 0
status=0

# may WHAT DIRECTORY... tells whether WHAT can be made in these directories.
may() {
	what=$1
	shift
	for place; do
		[ -e "$place" ] || place=${place%/*}
		if [ ! -w "$place" ]; then
			echo "imgbuild: there is no $what, and user $(id -u) cannot make it in $place: start as root with a writable $place, or bring one" >&2
			status=3
			return 1
		fi
	done
}

if [ -x /usr/sbin/sshd ]; then
	set -- /etc/ssh/ssh_host_*_key
	# Of the types that are missing, those that are there notwithstanding.
	if { [ -e "$1" ] && [ -w /etc/ssh ]; } || { [ ! -e "$1" ] && may "SSH host key" /etc/ssh; }; then
		ssh-keygen -A >/dev/null
	fi
fi

# A key alone, or data alone, were brought by whoever started this.
pem=/etc/ssl/certs/ssl-cert-snakeoil.pem
key=/etc/ssl/private/ssl-cert-snakeoil.key
if [ -x /usr/sbin/make-ssl-cert ] && [ ! -e "$pem" ] && [ ! -e "$key" ] && may "$key" "${key%/*}" "${pem%/*}"; then
	make-ssl-cert generate-default-snakeoil >/dev/null
fi

for dir in /etc/postgresql/*; do
	version=${dir##*/}
	data=/var/lib/postgresql/$version
	[ -x "/usr/lib/postgresql/$version/bin/initdb" ] && [ ! -e "$dir/main" ] && [ ! -e "$data/main" ] || continue
	may "PostgreSQL cluster $version/main" "$dir" "$data" || continue
	pg_createcluster "$version" main >/dev/null
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		systemctl --no-block start "postgresql@$version-main.service"
	fi
done

dir=${done%/*}
[ -d "$dir" ] || dir=${dir%/*}
if [ "$status" = 0 ] && [ -w "$dir" ]; then
	mkdir -p "${done%/*}"
	: >"$done"
fi
exit "$status"
