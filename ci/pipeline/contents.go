package pipeline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"

	"imgbuild/images/advisory/installed"
	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/signing"
)

// contentsHead begins a file of contents; its last digit is the version of the form.
// The digest of what follows stands between.
const contentsHead = "imgbuild contents 2 "

// maxContents is the largest such file in bytes.
const maxContents = 256 << 20

// SignedContents reads what a version consists of from its signed CycloneDX documents.
func SignedContents(c *catalog.Catalog, trust signing.Trust) func(context.Context, *catalog.Version) (Contents, error) {
	return func(ctx context.Context, v *catalog.Version) (Contents, error) {
		bills, err := evidence.Bills(ctx, c, v, trust)
		if err != nil {
			return nil, err
		}
		// Where no recipe is signed, nobody has accepted anything.
		terms, err := evidence.Terms(ctx, c, v, trust)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		contents := Contents{}
		for form, document := range bills {
			if contents[form], err = installed.FromCycloneDX(document); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", v.Ref(), form, err)
			}
			evidence.Accept(contents[form], terms)
		}
		return contents, nil
	}
}

// keep writes what a version consists of.
func (s *Stock) keep(id string, c Contents) error {
	text, err := json.Marshal(c, json.Deterministic(true))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	return replace(filepath.Join(s.Dir, "contents", id), func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s%x\n%s", contentsHead, sum, text)
		return err
	})
}

// load reads it. What is not as it was written is an error.
func (s *Stock) load(id string) (Contents, error) {
	file, err := os.Open(filepath.Join(s.Dir, "contents", id))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxContents))
	if err != nil {
		return nil, err
	}
	head, text, ok := bytes.Cut(data, []byte("\n"))
	sum := sha256.Sum256(text)
	if !ok || string(head) != contentsHead+hex.EncodeToString(sum[:]) {
		return nil, errors.New("it is not what was written")
	}
	var c Contents
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	return c, nil
}

// replace writes a file in the place of another, whole or not at all. Only who
// holds the directory does.
func replace(path string, write func(io.Writer) error) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
