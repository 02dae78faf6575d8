package feeds

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/bundle"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/strictjson"
)

// A bundle is a zip archive that carries feeds to machines without a network.
// Its first entry is the manifest, signed or not, and each file of a feed is
// called FEED/SHA256.
const (
	manifestName  = "imgbuild-feeds.json"
	signedName    = "imgbuild-feeds.dsse.json"
	bundleType    = "application/vnd.imgbuild.feeds.v1+json"
	bundleVersion = 1
	// maxBundle is the largest in bytes, and the largest file in one.
	maxBundle = 16 << 30
)

// Manifest is what a bundle says that it has.
type Manifest struct {
	Version int       `json:"version"`
	Made    time.Time `json:"made"`
	// Feeds are as they were kept where the bundle was made.
	Feeds []*State `json:"feeds"`
}

// ParseManifest reads a manifest and checks that it holds together.
func ParseManifest(data []byte) (*Manifest, error) {
	var m Manifest
	if err := strictjson.Read(data, &m); err != nil {
		return nil, fmt.Errorf("reading a bundle's manifest: %w", err)
	}
	if m.Version != bundleVersion {
		return nil, fmt.Errorf("reading a bundle's manifest: it is of version %d, and this program reads version %d", m.Version, bundleVersion)
	}
	if len(m.Feeds) == 0 || len(m.Feeds) > maxFeeds {
		return nil, fmt.Errorf("reading a bundle's manifest: it has %d feeds", len(m.Feeds))
	}
	names := map[string]bool{}
	left := int64(maxBundle)
	for _, s := range m.Feeds {
		if s == nil {
			return nil, errors.New("reading a bundle's manifest: a feed is missing")
		}
		err := s.check()
		switch {
		case err != nil:
		case names[s.Feed]:
			err = errors.New("it is there twice")
		case !s.Kept():
			err = errors.New("it has no files")
		case s.Bytes > left:
			err = fmt.Errorf("it and those before it have more than %d bytes", int64(maxBundle))
		}
		if err != nil {
			return nil, fmt.Errorf("reading a bundle's manifest: feed %.70q: %w", s.Feed, err)
		}
		names[s.Feed] = true
		left -= s.Bytes
	}
	return &m, nil
}

// form is what bundles of feeds look like.
var form = bundle.Form{
	What: "bundle of feeds", Plain: manifestName, Signed: signedName, Type: bundleType,
	MaxManifest: maxState, MaxBytes: maxBundle, Made: made,
	Hints: struct{ Other, Unsigned, Untrusted string }{
		Other:     "imgbuild feeds export makes one",
		Unsigned:  "export it with --sign, or accept it as it is: --unsigned",
		Untrusted: "list the key of who made the bundle under trust: in imgbuild.yaml, with for: bundles",
	},
}

// made is the date that a manifest was signed at.
func made(payload []byte) (time.Time, error) {
	m, err := ParseManifest(payload)
	if err != nil {
		return time.Time{}, err
	}
	return m.Made, nil
}

// Bundle is one that was opened: its manifest is believed as far as its signer
// is.
type Bundle struct {
	Manifest
	// Signer is empty when nobody has signed it.
	Signer signing.Signer
	from   *bundle.Bundle
	file   *os.File
}

// IsBundle says whether a file is a bundle, by its content.
func IsBundle(path string) bool {
	f, info, err := openRegular(path)
	if err != nil {
		return false
	}
	defer f.Close()
	c := content{path, f, info.Size()}
	if !c.begins(zipMagic) {
		return false
	}
	archive, err := c.openZip()
	return err == nil && form.Is(archive)
}

// Unsigned says whether a bundle that nobody has signed will do.
type Unsigned = bundle.Unsigned

// The answers to that.
const (
	RefuseUnsigned = bundle.RefuseUnsigned
	AcceptUnsigned = bundle.AcceptUnsigned
)

// OpenBundle opens a bundle. One that is signed must be so by a key of trust.
func OpenBundle(ctx context.Context, path string, trust signing.Trust, unsigned Unsigned) (*Bundle, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, fault.Inputf("opening a bundle of feeds").Because(err)
	}
	b, err := ReadBundle(ctx, f, info.Size(), trust, unsigned)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the bundle %s: %w", path, err), f.Close())
	}
	b.file = f
	return b, nil
}

// Close closes its file.
func (b *Bundle) Close() error { return b.file.Close() }

// ReadBundle opens a bundle that lies anywhere; it need not be closed.
func ReadBundle(ctx context.Context, file io.ReaderAt, size int64, trust signing.Trust, unsigned Unsigned) (*Bundle, error) {
	from, err := form.Read(ctx, file, size, trust, unsigned)
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(from.Manifest)
	if err != nil {
		return nil, err
	}
	for _, s := range m.Feeds {
		for _, f := range s.Files {
			if err := from.Name(s.Feed+"/"+f.SHA256, f.Bytes); err != nil {
				return nil, fmt.Errorf("%s of feed %s: %w", f.Name, s.Feed, err)
			}
		}
	}
	return &Bundle{Manifest: *m, Signer: from.Signer, from: from}, nil
}

// Import takes a feed out of a bundle, as if it had been read when and where the
// bundle says that it was. It is judged as what comes from anywhere else; that it
// was read before what is kept is an error (fault.World).
func (s *Store) Import(ctx context.Context, b *Bundle, f *Feed, o Options) (*State, error) {
	at := slices.IndexFunc(b.Feeds, func(s *State) bool { return s.Feed == f.Name })
	if at < 0 {
		return nil, fault.Inputf("importing feeds: the bundle has no feed %q", f.Name)
	}
	carried := b.Feeds[at]
	if carried.Kind != f.Kind {
		return nil, fault.Inputf("importing feeds: %s is of kind %s in the bundle, and of kind %s here", f.Name, carried.Kind, f.Kind)
	}
	return s.fill(ctx, f, o, func(old *State) (*incoming, error) {
		if old.Kept() && carried.Read.Before(old.Read) && carried.Digest != old.Digest && !o.Smaller {
			// That says nothing of what is kept, so it is no alarm of the feed.
			return nil, fault.Worldf("the bundle has it as it was read on %s, and what is kept was read on %s", date(carried.Read), date(old.Read)).
				WithHint("bring a newer bundle; if this one is meant, add it with --accept-smaller")
		}
		in := &incoming{fresh: map[string]string{}, from: bundled, read: carried.Read, changed: carried.AsOf}
		if in.read.After(s.Now()) {
			in.read = s.Now()
		}
		for _, alarm := range carried.Alarms {
			in.alarms = append(in.alarms, Alarm{
				What: alarm.What, Reason: "where the bundle was made: " + advisory.Line(alarm.Reason), Mend: "add a newer bundle once that is mended: imgbuild feeds add BUNDLE", At: alarm.At,
			})
		}
		for _, file := range carried.Files {
			if _, ok := in.fresh[file.SHA256]; ok {
				in.add(file, "")
				continue
			}
			path, err := s.extract(f, b, file)
			if err != nil {
				return nil, err
			}
			in.add(file, path)
		}
		return in, nil
	})
}

func (s *Store) extract(f *Feed, b *Bundle, file File) (string, error) {
	r, err := b.from.Open(f.Name + "/" + file.SHA256)
	if err != nil {
		return "", &Alarm{What: Unreadable, Reason: file.Name + ": " + line(err), Mend: "copy the bundle again"}
	}
	defer r.Close()
	taken, path, err := s.take(f.Name, file.Name, r, f.Kind.traits().largest)
	if errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrFormat) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "", &Alarm{What: Truncated, Reason: fmt.Sprintf("%s is damaged in the bundle", file.Name), Mend: "copy the bundle again"}
	}
	if err != nil {
		return "", err
	}
	if taken.SHA256 != file.SHA256 {
		return "", &Alarm{What: Changed, Reason: fmt.Sprintf("%s is not the file that the bundle's manifest names", file.Name), Mend: "do not use the bundle; have it made again"}
	}
	return path, nil
}
