package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// maxUCF is the most bytes of one of ucf's files that is read.
const maxUCF = 4 << 20

// ucf sorts the two files of ucf(1), one line a configuration file each, and
// takes out the older copies that it keeps of them. Maintainer scripts such as
// aide-common's name their files as a directory lists them, which differs from
// one file system to the next; ucf looks lines up and asks for no order.
func (s *sealer) ucf() error {
	for _, name := range []string{"var/lib/ucf/hashfile", "var/lib/ucf/registry"} {
		for n := range 10 {
			if err := s.remove(fmt.Sprintf("%s.%d", name, n)); err != nil {
				return err
			}
		}
		if err := s.sort(name); err != nil {
			return err
		}
	}
	return nil
}

// sort sorts the lines of a file that may be missing, and leaves it alone when
// they are.
func (s *sealer) sort(name string) error {
	info, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxUCF) {
		err = fmt.Errorf("%s is no regular file of at most %d bytes", name, maxUCF)
	}
	if err != nil {
		return err
	}
	data, err := s.root.ReadFile(name)
	if err != nil {
		return err
	}
	lines := slices.Collect(bytes.Lines(data))
	if slices.IsSortedFunc(lines, bytes.Compare) {
		return nil
	}
	if last := len(lines) - 1; !bytes.HasSuffix(lines[last], []byte("\n")) {
		lines[last] = append(slices.Clone(lines[last]), '\n')
	}
	slices.SortFunc(lines, bytes.Compare)
	return s.write(name, bytes.Join(lines, nil), info.Mode().Perm())
}
