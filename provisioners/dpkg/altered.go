package dpkg

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"imgbuild/provisioners/system"
)

// alteredOf returns those of the files that are there and have another digest.
func alteredOf(ctx context.Context, r system.Reader, sums map[string]string) (map[string]bool, error) {
	files := make([]string, 0, len(sums))
	for file := range sums {
		files = append(files, file)
	}
	slices.Sort(files)
	altered := map[string]bool{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for batch := range slices.Chunk(files, 64) {
		group.Go(func() error {
			buf := make([]byte, 128<<10)
			for _, file := range batch {
				if err := ctx.Err(); err != nil {
					return err
				}
				sum, err := sumOf(r, path.Join("/", file), buf)
				if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
					continue // it is not there
				}
				if err != nil {
					return err
				}
				if sum != sums[file] {
					mu.Lock()
					altered[file] = true
					mu.Unlock()
				}
			}
			return nil
		})
	}
	return altered, group.Wait()
}

// sumOf is the MD5 digest of a regular file; what is no regular file has none.
func sumOf(r system.Reader, name string, buf []byte) (string, error) {
	info, err := r.Lstat(name)
	if err != nil || !info.Mode.IsRegular() {
		return "", err
	}
	f, err := r.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := md5.New()
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, buf); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
