#!/bin/sh
# Makes what this container must have of its own, then becomes its command. A
# container's user may lack the right to make it (status 3, and it was said what
# is missing): the command may have no need of it.
/usr/lib/imgbuild/first-boot || [ $? = 3 ] || exit 1
exec "$@"
