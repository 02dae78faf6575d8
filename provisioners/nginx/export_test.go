package nginx

import (
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// Files lists the files of the configuration with the main file called main,
// in the order in which nginx reads them, a file that is included twice twice.
func Files(r system.Reader, main string) ([]string, error) {
	_, order, err := read(edit.New(r), main)
	return order, err
}
