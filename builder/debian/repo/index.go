package repo

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"imgbuild/builder/progress"
	"imgbuild/images/fault"
)

// Indexes is the directory in Client.Cache that grows with every change of a
// repository. When a file of it was last used is its modification time.
const Indexes = "indexes"

// stripFormat changes when the fields that the cache keeps do.
const stripFormat = "1"

// packages reads the index file name (main/binary-amd64/Packages) of a
// release, from the cache when its digest is there.
func (c *Client) packages(ctx context.Context, source Source, release *Release, name string) ([]Package, error) {
	plain, listed := release.files[name]
	if !listed {
		return nil, fault.Worldf("the release lists no %s", name).
			WithHint("the suite has not that component or architecture")
	}
	if plain.size == 0 {
		return nil, nil
	}
	if plain.size > maxIndex {
		return nil, fault.Worldf("%s is larger than %d bytes", name, maxIndex)
	}
	cached := c.indexFile(plain)
	packages, err := readCached(cached)
	if err == nil {
		now := time.Now()
		_ = os.Chtimes(cached, now, now) // only keeps it longer
		return packages, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		// A damaged cache is fetched anew.
		c.Progress.Note("the cached index %s cannot be read (%v)", name, err)
	}
	return c.fetchIndex(ctx, source, release, name, cached)
}

func readCached(cached string) ([]Package, error) {
	f, err := os.Open(cached)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	decoder, err := zstd.NewReader(f, zstd.WithDecoderMaxMemory(maxIndex))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	return ReadPackages(decoder)
}

// fetchIndex downloads name in its smallest known form, verifies both forms
// and writes the stripped index to cached.
func (c *Client) fetchIndex(ctx context.Context, source Source, release *Release, name, cached string) ([]Package, error) {
	packed, suffix := release.files[name], ""
	for _, s := range []string{".xz", ".gz"} {
		if f, ok := release.files[name+s]; ok {
			packed, suffix = f, s
			break
		}
	}
	if packed.size > maxCompressed {
		return nil, fault.Worldf("%s%s is larger than %d bytes", name, suffix, maxCompressed)
	}
	if err := os.MkdirAll(filepath.Dir(cached), 0o755); err != nil {
		return nil, fmt.Errorf("writing to the cache: %w", err)
	}
	download, err := os.CreateTemp(filepath.Dir(cached), ".download-*")
	if err != nil {
		return nil, fmt.Errorf("writing to the cache: %w", err)
	}
	defer os.Remove(download.Name())
	defer download.Close()

	task := c.Progress.Start("index "+source.Suite+" "+path.Dir(name), packed.size, progress.Bytes)
	if err := c.download(ctx, source, release, name+suffix, packed, download, task); err != nil {
		task.Fail(err)
		return nil, err
	}
	packages, err := unpackIndex(ctx, download, suffix, release.files[name], cached)
	if err != nil {
		err = fmt.Errorf("reading %s%s: %w", name, suffix, err)
		task.Fail(err)
		return nil, err
	}
	task.Done("")
	return packages, nil
}

// download fetches a file that the release lists into dst, by its digest
// where the mirror offers that, and verifies it.
func (c *Client) download(ctx context.Context, source Source, release *Release, name string, want file, dst *os.File, task progress.Task) error {
	dir := source.URL + "/dists/" + source.Suite + "/"
	save := func(body io.Reader) error {
		if err := dst.Truncate(0); err != nil {
			return err
		}
		if _, err := dst.Seek(0, io.SeekStart); err != nil {
			return err
		}
		sum := sha256.New()
		n, err := io.Copy(io.MultiWriter(dst, sum, counter{task}), io.LimitReader(body, want.size+1))
		if err != nil {
			return err
		}
		return want.check(name, n, sum)
	}
	err := errNotFound
	if release.ByHash {
		err = c.get(ctx, dir+path.Dir(name)+"/by-hash/SHA256/"+want.sha256, save)
	}
	if errors.Is(err, errNotFound) {
		err = c.get(ctx, dir+name, save)
	}
	if err != nil {
		return err
	}
	_, err = dst.Seek(0, io.SeekStart)
	return err
}

// check compares what was read with what the release says.
func (want file) check(name string, size int64, sum hash.Hash) error {
	got := hex.EncodeToString(sum.Sum(nil))
	if size == want.size && got == want.sha256 {
		return nil
	}
	return fault.Worldf("%s is not the file that the release lists: %d bytes and SHA-256 %s, not %d and %s", name, size, got, want.size, want.sha256).
		WithHint("the mirror is being updated or tampers with files: try again later, or use another one")
}

// unpackIndex decompresses a verified download, verifies the outcome, and
// keeps the stripped index under cached.
func unpackIndex(ctx context.Context, download io.Reader, suffix string, want file, cached string) (packages []Package, err error) {
	err = writeFile(cached, func(w io.Writer) error {
		plain, stop, err := decompress(ctx, download, suffix)
		if err != nil {
			return err
		}
		encoder, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			stop()
			return err
		}
		sum := sha256.New()
		counted := &countingReader{r: io.TeeReader(io.LimitReader(plain, want.size+1), sum)}
		packages, err = strip(encoder, counted)
		if err == nil {
			err = want.check("the index", counted.n, sum)
		}
		// The check comes first: a program cut short by the limit fails too.
		return errors.Join(err, encoder.Close(), stop())
	})
	if err != nil {
		return nil, err
	}
	return packages, nil
}

// decompress returns the plain form of r, and what ends the work and reports
// its error.
func decompress(ctx context.Context, r io.Reader, suffix string) (io.Reader, func() error, error) {
	none := func() error { return nil }
	switch suffix {
	case "":
		return r, none, nil
	case ".gz":
		z, err := gzip.NewReader(r)
		return z, none, err
	}
	program, err := exec.LookPath("xz")
	if err != nil {
		z, err := xz.NewReader(r)
		return z, none, err
	}
	ctx, cancel := context.WithCancel(ctx)
	command := exec.CommandContext(ctx, program, "--decompress", "--stdout", "--memlimit=256MiB")
	command.Stdin = r
	var words bytes.Buffer
	command.Stderr = &words
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("running xz: %w", err)
	}
	stop := func() error {
		// Everything wanted has been read by now; more means a broken limit,
		// which the check of size and digest has reported.
		n, _ := io.Copy(io.Discard, io.LimitReader(out, 1))
		if n > 0 {
			cancel()
		}
		err := command.Wait()
		cancel()
		if err != nil {
			return fmt.Errorf("running xz: %w %s", err, bytes.TrimSpace(words.Bytes()))
		}
		return nil
	}
	return out, stop, nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// counter reports written bytes as a task's progress.
type counter struct{ task progress.Task }

func (c counter) Write(p []byte) (int, error) {
	c.task.Add(int64(len(p)))
	return len(p), nil
}
