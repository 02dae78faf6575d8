package deb

import (
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// The limits on decompression.
const (
	// maxWindow is the most bytes of history that a compressed member may ask
	// for: dpkg-deb's strongest zstd level uses 128 MiB, its strongest xz 64 MiB.
	maxWindow = 128 << 20
	// freeExpansion is how much a member may always decompress to, in bytes.
	freeExpansion = 64 << 20
	// maxRatio bounds larger members: Debian's packages stay below 60.
	maxRatio = 400
)

// decompress returns the content of a member whose name ends in the given
// extension (deb(5): "", .gz, .xz, .zst, .bz2), limited to most bytes and to
// maxRatio; size is the compressed length. The caller closes it, which waits
// for a helper program and reports its failure.
func decompress(ctx context.Context, extension string, src io.Reader, size, most int64) (io.ReadCloser, error) {
	plain, err := decoder(ctx, extension, src)
	if err != nil {
		return nil, err
	}
	most = min(most, max(freeExpansion, size*maxRatio))
	return &bounded{ReadCloser: plain, left: most, most: most}, nil
}

func decoder(ctx context.Context, extension string, src io.Reader) (io.ReadCloser, error) {
	switch extension {
	case "":
		return io.NopCloser(src), nil
	case ".gz":
		return gzip.NewReader(src)
	case ".bz2":
		return io.NopCloser(bzip2.NewReader(src)), nil
	case ".zst":
		z, err := zstd.NewReader(src, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case ".xz":
		if program, err := exec.LookPath("xz"); err == nil {
			return startXZ(ctx, program, src)
		}
		return newXZ(src)
	}
	return nil, fmt.Errorf("compression %q is not one of deb(5)", extension)
}

// newXZ decodes with the Go library, which is half as fast as the program and
// takes the dictionary's size from the file unchecked: so it is checked here.
func newXZ(src io.Reader) (io.ReadCloser, error) {
	head := make([]byte, 12+24)
	n, err := io.ReadFull(src, head)
	if err != nil && n < 12+2 {
		return nil, fmt.Errorf("reading xz header: %w", unexpected(err))
	}
	if err := checkXZDictionary(head[12:n]); err != nil {
		return nil, err
	}
	r, err := xz.ReaderConfig{SingleStream: true}.NewReader(io.MultiReader(strings.NewReader(string(head[:n])), src))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(r), nil
}

// checkXZDictionary reads the first block header of an xz stream (The .xz File
// Format 1.2.0, section 3.1) as dpkg-deb writes it: no sizes, one LZMA2 filter.
func checkXZDictionary(block []byte) error {
	if len(block) < 2 || block[0] == 0 { // an index: the stream holds nothing
		return nil
	}
	at := 2
	for _, size := range []byte{0x40, 0x80} { // compressed and uncompressed size are present
		if block[1]&size == 0 {
			continue
		}
		for at < len(block) && block[at]&0x80 != 0 {
			at++
		}
		at++
	}
	if block[1]&0x03 != 0 || at+2 >= len(block) || block[at] != 0x21 {
		return errors.New("xz stream uses filters other than LZMA2")
	}
	if bits := block[at+2]; bits > 32 { // (2 | bits&1) << (bits/2 + 11): 32 is 128 MiB
		return fmt.Errorf("xz stream asks for a dictionary of more than %d MiB", maxWindow>>20)
	}
	return nil
}

// xzProgram is a running xz(1).
type xzProgram struct {
	io.Reader
	cmd    *exec.Cmd
	cancel context.CancelFunc
	stderr *strings.Builder
	ended  bool
}

func startXZ(ctx context.Context, program string, src io.Reader) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, program, "--decompress", "--stdout", "--threads=1", "--memlimit-decompress=192MiB")
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdin = src
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting xz: %w", err)
	}
	return &xzProgram{Reader: out, cmd: cmd, cancel: cancel, stderr: &stderr}, nil
}

func (x *xzProgram) Read(p []byte) (int, error) {
	n, err := x.Reader.Read(p)
	if err == io.EOF {
		if failed := x.wait(); failed != nil {
			return n, failed
		}
	}
	return n, err
}

// wait reports how xz ended; it is called at the end of its output.
func (x *xzProgram) wait() error {
	if x.ended {
		return nil
	}
	x.ended = true
	err := x.cmd.Wait()
	x.cancel()
	if err != nil {
		return fmt.Errorf("decompressing xz: %w: %s", err, strings.TrimSpace(x.stderr.String()))
	}
	return nil
}

// Close ends xz when its output was not read to the end.
func (x *xzProgram) Close() error {
	if x.ended {
		return nil
	}
	x.cancel()
	x.ended = true
	if err := x.cmd.Wait(); err != nil && x.cmd.ProcessState == nil {
		return err
	}
	return nil
}

// bounded refuses to read beyond a limit.
type bounded struct {
	io.ReadCloser
	left, most int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("decompresses to more than %d bytes", b.most)
	}
	return n, err
}
