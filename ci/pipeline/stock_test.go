package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
)

func pkg(source, version string) installed.Package {
	return installed.Package{Ecosystem: "Debian:12", Name: "lib" + source, Architecture: "amd64", Version: version, Source: source, SourceVersion: version}
}

// image is a version of web with a digest of its own.
func image(number int) *pipeline.Image {
	v := &catalog.Version{
		Baseline: "web", Number: fmt.Sprintf("20260101.%d", number),
		Index:     ocispec.Descriptor{Digest: digest.FromString(fmt.Sprint("web", number))},
		Container: &ocispec.Descriptor{}, Disks: []catalog.Disk{{Format: "raw"}},
	}
	return &pipeline.Image{Version: v, Newest: true}
}

// shelf is a catalog in memory that counts how often it is read.
type shelf struct {
	contents map[string]pipeline.Contents
	reads    atomic.Int32
}

func (s *shelf) read(_ context.Context, v *catalog.Version) (pipeline.Contents, error) {
	s.reads.Add(1)
	c, ok := s.contents[v.Number]
	if !ok {
		return nil, errors.New("nobody has signed it")
	}
	return c, nil
}

// three are three images: two with openssl, the second with a disk that has a kernel.
func three() (*shelf, []*pipeline.Image) {
	return &shelf{contents: map[string]pipeline.Contents{
		"20260101.1": {control.Container: {pkg("openssl", "1")}, control.Machine: {pkg("openssl", "1")}},
		"20260101.2": {control.Container: {pkg("openssl", "2")}, control.Machine: {pkg("openssl", "2"), pkg("linux", "6")}},
		"20260101.3": {control.Container: {pkg("bash", "5")}, control.Machine: {pkg("bash", "5")}},
	}}, []*pipeline.Image{image(1), image(2), image(3)}
}

func update(t *testing.T, s *pipeline.Stock, exist, want []*pipeline.Image) *pipeline.Stocked {
	t.Helper()
	stocked, err := s.Update(t.Context(), exist, want)
	if err != nil {
		t.Fatal(err)
	}
	return stocked
}

// with are the numbers of the images that have a package.
func with(s *pipeline.Stocked, images []*pipeline.Image, name string) []string {
	var numbers []string
	for _, i := range s.With(images, []advisory.Name{{Release: "Debian:12", Package: name}}) {
		numbers = append(numbers, i.Version.Number)
	}
	return numbers
}

func TestAVersionIsReadOnce(t *testing.T) {
	from, images := three()
	s := &pipeline.Stock{Dir: t.TempDir(), Read: from.read}
	first := update(t, s, images, images[:2])
	if n := from.reads.Load(); n != 2 {
		t.Errorf("%d versions were read for 2", n)
	}
	// What is not known to have no kernel may have one.
	if got := with(first, images, "linux"); !slices.Equal(got, []string{"20260101.2", "20260101.3"}) {
		t.Errorf("a kernel is in %v", got)
	}
	for range 2 {
		again := update(t, s, images, images)
		if got := with(again, images, "openssl"); !slices.Equal(got, []string{"20260101.1", "20260101.2"}) {
			t.Errorf("openssl is in %v", got)
		}
		for _, i := range images {
			c, err := again.Contents(t.Context(), i)
			if err != nil || fmt.Sprint(c) != fmt.Sprint(from.contents[i.Version.Number]) {
				t.Errorf("%s has %v, %v", i.Version.Ref(), c, err)
			}
		}
	}
	if n := from.reads.Load(); n != 3 {
		t.Errorf("versions were read %d times for 3", n)
	}
}

func TestWhatTheCatalogHasNoMoreIsForgotten(t *testing.T) {
	from, images := three()
	s := &pipeline.Stock{Dir: t.TempDir(), Read: from.read}
	update(t, s, images, images)
	left := update(t, s, images[1:], images[1:])
	if got := with(left, images[1:], "openssl"); !slices.Equal(got, []string{"20260101.2"}) {
		t.Errorf("openssl is in %v", got)
	}
	entries, err := os.ReadDir(filepath.Join(s.Dir, "contents"))
	if err != nil || len(entries) != 2 {
		t.Errorf("%d are kept of 2: %v", len(entries), err)
	}
	// It may come back.
	back := update(t, s, images, images)
	if got := with(back, images, "openssl"); !slices.Equal(got, []string{"20260101.1", "20260101.2"}) {
		t.Errorf("openssl is in %v", got)
	}
}

func TestWhatIsDamagedIsMadeAgain(t *testing.T) {
	from, images := three()
	s := &pipeline.Stock{Dir: t.TempDir(), Read: from.read}
	update(t, s, images, images)
	files, err := filepath.Glob(filepath.Join(s.Dir, "contents", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func(path string, data []byte) error{
		func(path string, data []byte) error { return os.Truncate(path, int64(len(data)/2)) },
		func(path string, data []byte) error {
			data[len(data)-3] ^= 1
			return os.WriteFile(path, data, 0o644)
		},
		func(path string, _ []byte) error { return os.Remove(path) },
		func(path string, _ []byte) error { return os.WriteFile(path+".new", []byte("half"), 0o644) },
	} {
		for _, path := range append(files, filepath.Join(s.Dir, "index")) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(path, data); err != nil {
				t.Fatal(err)
			}
			again := update(t, s, images, images)
			if got := with(again, images, "openssl"); !slices.Equal(got, []string{"20260101.1", "20260101.2"}) {
				t.Errorf("openssl is in %v", got)
			}
			for _, i := range images {
				c, err := again.Contents(t.Context(), i)
				if err != nil || fmt.Sprint(c) != fmt.Sprint(from.contents[i.Version.Number]) {
					t.Errorf("%s has %v, %v", i.Version.Ref(), c, err)
				}
			}
		}
	}
}

func TestWhatCannotBeReadIsAskedForAgain(t *testing.T) {
	from, images := three()
	missing := from.contents["20260101.1"]
	delete(from.contents, "20260101.1")
	s := &pipeline.Stock{Dir: t.TempDir(), Read: from.read}
	stocked := update(t, s, images, images)
	if _, err := stocked.Contents(t.Context(), images[0]); err == nil {
		t.Error("what nobody has signed has contents")
	}
	if got := with(stocked, images, "bash"); !slices.Equal(got, []string{"20260101.1", "20260101.3"}) {
		t.Errorf("bash may be in %v", got)
	}
	from.contents["20260101.1"] = missing
	if c, err := update(t, s, images, images).Contents(t.Context(), images[0]); err != nil || len(c) != 2 {
		t.Errorf("it has %v, %v", c, err)
	}
}

func TestTwoWritersAgree(t *testing.T) {
	from, images := three()
	dir := t.TempDir()
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			s := &pipeline.Stock{Dir: dir, Read: from.read}
			// Each sees another catalog, as it changes meanwhile.
			exist := images[:1+n%3]
			stocked, err := s.Update(context.Background(), exist, exist)
			if err != nil {
				t.Error(err)
				return
			}
			for _, i := range exist {
				if c, err := stocked.Contents(context.Background(), i); err != nil || len(c) != 2 {
					t.Errorf("%s has %v, %v", i.Version.Ref(), c, err)
				}
			}
		})
	}
	all.Wait()
	last := update(t, &pipeline.Stock{Dir: dir, Read: from.read}, images, images)
	if got := with(last, images, "openssl"); !slices.Equal(got, []string{"20260101.1", "20260101.2"}) {
		t.Errorf("openssl is in %v", got)
	}
}

// TestStocksThatNobodyAsksAreRemoved has those of other versions of the program beside one.
func TestStocksThatNobodyAsksAreRemoved(t *testing.T) {
	below, long := t.TempDir(), time.Now().AddDate(0, -3, 0)
	dirs := map[string]bool{}
	for name, kept := range map[string]bool{pipeline.StockDir(below, "a", nil): false, pipeline.StockDir(below, "b", nil): true, filepath.Join(below, "somebody's"): true} {
		dirs[name] = kept
		at := long
		if filepath.Base(name) != "somebody's" && kept {
			at = time.Now().AddDate(0, -1, 0)
		}
		if err := errors.Join(os.MkdirAll(filepath.Join(name, "contents"), 0o755), os.Chtimes(name, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	from, images := three()
	update(t, &pipeline.Stock{Dir: pipeline.StockDir(below, "c", nil), Read: from.read}, images, images)
	for name, kept := range dirs {
		if _, err := os.Stat(name); (err == nil) != kept {
			t.Errorf("%s: %v", name, err)
		}
	}
}
