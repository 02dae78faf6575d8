package account

import (
	"strconv"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// UserID returns the number of the user called name in a system; a decimal
// number stands for itself. An unknown name is a fault.Input error.
func UserID(r system.Reader, name string) (int, error) {
	return number(r, passwdFile, "user", name)
}

// GroupID returns the number of the group called name in a system; a decimal
// number stands for itself. An unknown name is a fault.Input error.
func GroupID(r system.Reader, name string) (int, error) {
	return number(r, groupFile, "group", name)
}

func number(r system.Reader, file, what, name string) (int, error) {
	if name == "root" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	t, err := read(r, file, 0, 0)
	if err != nil {
		return 0, err
	}
	record := t.find(name)
	if record == nil {
		return 0, fault.Inputf("the image has no %s %q%s", what, name, node.Suggest(name, t.names()))
	}
	return t.id(record, 2)
}
