package repo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Kept gives the packages of a source as they were when it was last read, without
// asking anybody. Whatever is not kept, or not verified any more, is
// [fs.ErrNotExist]: nothing is known then.
func (c *Client) Kept(arch string, source Source, each func(*Package)) error {
	if !IsCleanPath(source.Suite) || !IsCleanPath(source.Archive) || strings.Contains(source.Archive, "/") {
		return fs.ErrNotExist
	}
	source.URL = strings.TrimRight(source.URL, "/")
	text, err := os.ReadFile(c.releaseFile(source))
	if err != nil {
		return err
	}
	release, err := VerifyRelease(text, source.Keys, c.Now())
	if err != nil {
		return errors.Join(fs.ErrNotExist, err)
	}
	arches := []string{arch}
	if release.SplitAll {
		arches = append(arches, "all")
	}
	for _, component := range source.Components {
		for _, a := range arches {
			plain, listed := release.files[component+"/binary-"+a+"/Packages"]
			if !listed {
				return fs.ErrNotExist
			}
			if plain.size == 0 {
				continue
			}
			packages, err := readCached(c.indexFile(plain))
			if err != nil {
				return err
			}
			for i := range packages {
				each(&packages[i])
			}
		}
	}
	return nil
}

// releaseFile is where the last verified release of a source is kept, and indexFile
// where an index is.
func (c *Client) releaseFile(source Source) string {
	return filepath.Join(c.Cache, "releases", source.folder(), strings.ReplaceAll(source.Suite, "/", "_"))
}

func (c *Client) indexFile(plain file) string {
	return filepath.Join(c.Cache, Indexes, plain.sha256+"."+stripFormat+".zst")
}
