package hygiene

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/provisioners/tree"
)

// Hidden is a file that ships with a tree and does not show in it: one that a
// layer of a container image has and a later one takes away.
type Hidden struct {
	// Path is absolute, Size in bytes.
	Path string
	Size int64
	// Where says what has it: "layer sha256:…".
	Where string
	Open  func() (io.ReadCloser, error)
}

// secrets are the kinds that matter in what is hidden: who finds them can use
// them.
var secrets = []Kind{HostKey, History, Password, PrivateKey, Token}

// hidden looks for secrets in what does not show.
func (i *inspection) hidden(ctx context.Context, files []Hidden) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, h := range files {
		if i.derived(strings.TrimPrefix(h.Path, "/")) {
			continue
		}
		group.Go(func() error { return i.one(ctx, h) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("looking for secrets in what is deleted: %w", err)
	}
	return nil
}

func (i *inspection) one(ctx context.Context, h Hidden) error {
	own := &inspection{packages: i.packages, expected: i.expected, detector: i.detector}
	own.place(integrity.Entry{Path: strings.TrimPrefix(h.Path, "/"), Size: h.Size})
	if err := own.show(ctx, h); err != nil {
		return err
	}
	for _, s := range own.found {
		if slices.Contains(secrets, Kind(s.Kind)) {
			i.addAll([]report.Stray{{Kind: string(DeletedSecret), Path: h.Path, Detail: fmt.Sprintf("%s has it, though no container shows it: %s: %s", h.Where, s.Kind, s.Detail)}})
		}
	}
	return nil
}

// show shows a file as tree.Read does.
func (i *inspection) show(ctx context.Context, h Hidden) (err error) {
	f, err := h.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	view := newContent(i, h.Path, h.Size, func(string) (io.ReadCloser, error) { return h.Open() })
	buf := make([]byte, min(h.Size+1, tree.Window))
	for held := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(f, buf[held:])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		part := buf[:held+n]
		if slices.Contains(accountFiles, h.Path) {
			i.accountsIn(h.Path, part)
		}
		if err := view.Show(part, last); err != nil || last {
			return err
		}
		held = copy(buf, buf[len(buf)-tree.Overlap:])
	}
}
