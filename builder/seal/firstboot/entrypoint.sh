#!/bin/sh
# Makes what this container must have of its own, then becomes its command.
/usr/lib/imgbuild/first-boot || exit 1
exec "$@"
