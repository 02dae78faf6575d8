package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"imgbuild/builder/debian/repo"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/applies"
	"imgbuild/images/advisory/ecosystem"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/hold"
)

// Repositories keeps what the distributions' own repositories offer: a version that is
// newer than an image's is a signal, even before an advisory names it. In its
// directory is one file a platform.
type Repositories struct {
	Dir string
	// Read reads and verifies, as a lock does, the suites of a release of Debian by
	// its code name: its own, the updates' and the security team's.
	Read func(ctx context.Context, codename, architecture string) ([]*repo.Index, error)
	Now  func() time.Time
	// Every is how often they are read, and Stale after how long what was read is not
	// relied on; 0 is offersDue and offersStale.
	Every, Stale time.Duration
	// Off is that they are not watched: nothing is read, and nothing is offered.
	Off bool
}

// The ages of what was read, after which it is read again, and not relied on.
const (
	offersDue   = time.Hour
	offersStale = 48 * time.Hour
)

// offersVersion is that of the form of a file, maxOffers its largest size in bytes.
const (
	offersVersion = 1
	maxOffers     = 64 << 20
)

// Offers are what the repositories of a platform have.
type Offers struct {
	Version int `json:"version"`
	Platform
	// Read is when, and Suites are the dates of what was read by suite.
	Read   time.Time            `json:"read"`
	Suites map[string]time.Time `json:"suites"`
	// Packages are the newest versions by package: what a lock would take.
	Packages map[string]Offer `json:"packages"`
}

// Offer is the newest version of a package. There are tens of thousands, so names in
// the file are short.
type Offer struct {
	Version string `json:"v"`
	// Source is the version of its source package, "" for the same.
	Source string `json:"s,omitempty"`
	Suite  string `json:"in"`
	// Secured is the newest version of the suite of security updates, where that is an
	// older one: what a lock would take mends as much.
	Secured string `json:"sec,omitempty"`
	// Since is when it was first seen here.
	Since time.Time `json:"at"`
}

func (r *Repositories) path(p Platform) string {
	name := strings.NewReplacer(":", "-", " ", "-", "/", "-").Replace(p.Ecosystem + "." + p.Architecture)
	return filepath.Join(r.Dir, name+".json")
}

// Offers are what was read last; nil when nothing was, or it cannot be believed.
func (r *Repositories) Offers(p Platform) (*Offers, error) {
	if r.Off {
		return nil, nil
	}
	o, err := readOffers(r.path(p))
	if err != nil || o == nil || o.Platform != p {
		return nil, err
	}
	return o, nil
}

// readOffers reads a file of offers; nil when there is none, or it cannot be believed.
func readOffers(path string) (*Offers, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what repositories offer: %w", err)
	}
	defer file.Close()
	var o Offers
	if err := json.UnmarshalRead(io.LimitReader(file, maxOffers), &o); err != nil || o.Version != offersVersion || len(o.Packages) == 0 {
		return nil, nil
	}
	return &o, nil
}

// Sync reads what is due; all says that everything is. What cannot be read is a gap
// where it has been read before, else a note: where there is no mirror, there is
// nothing to watch.
func (r *Repositories) Sync(ctx context.Context, platforms []Platform, all bool) (gaps []Gap, notes []string, err error) {
	if r.Off {
		return nil, nil, nil
	}
	for _, p := range platforms {
		codename := codenameOf(p)
		if codename == "" || p.Architecture == "" {
			continue
		}
		err := r.sync(ctx, p, codename, all)
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if err == nil {
			continue
		}
		old, readErr := r.Offers(p)
		if readErr != nil {
			return nil, nil, readErr
		}
		if old == nil {
			notes = append(notes, fmt.Sprintf("the repository of %s is not watched: %v", p.Ecosystem, err))
			continue
		}
		gaps = append(gaps, gapOf("", "repository of "+p.Ecosystem, err))
	}
	return gaps, notes, nil
}

func codenameOf(p Platform) string {
	number, ok := strings.CutPrefix(p.Ecosystem, "Debian:")
	if !ok {
		return ""
	}
	return ecosystem.DebianCodename(number)
}

func (r *Repositories) sync(ctx context.Context, p Platform, codename string, all bool) error {
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return err
	}
	lock, err := hold.File(ctx, r.path(p)+".lock", hold.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Close()
	old, err := r.Offers(p)
	if err != nil {
		return err
	}
	now := r.Now().UTC()
	if old != nil && !all && now.Sub(old.Read) < cmp.Or(r.Every, offersDue) && !old.Read.After(now) {
		return nil
	}
	indexes, err := r.Read(ctx, codename, p.Architecture)
	if err != nil {
		return err
	}
	offers, err := offersOf(p, indexes, old, now)
	if err != nil {
		return err
	}
	return replace(r.path(p), func(w io.Writer) error { return json.MarshalWrite(w, offers, json.Deterministic(true)) })
}

// offersOf are the newest versions of the packages of all suites.
func offersOf(p Platform, indexes []*repo.Index, old *Offers, now time.Time) (*Offers, error) {
	of, err := ecosystem.Of(p.Ecosystem)
	if err != nil {
		return nil, err
	}
	offers := &Offers{Version: offersVersion, Platform: p, Read: now, Suites: map[string]time.Time{}, Packages: map[string]Offer{}}
	for _, index := range indexes {
		offers.Suites[index.Source.Suite] = index.Release.Date
		for i := range index.Packages {
			one := &index.Packages[i]
			best, there := offers.Packages[one.Name]
			if !of.Order.Valid(one.Version) {
				continue
			}
			order := 1
			if there {
				order = of.Order.Compare(one.Version, best.Version)
			}
			secured, secure := best.security(), strings.HasSuffix(index.Source.Suite, securitySuite)
			switch {
			case order > 0 || order == 0 && secure:
				_, source := installed.Unsigned(one.Source, one.SourceVersion)
				if source == one.Version {
					source = ""
				}
				best = Offer{Version: one.Version, Source: source, Suite: index.Source.Suite, Since: now}
				if !secure {
					best.Secured = secured
				}
			case secure && (secured == "" || of.Order.Compare(one.Version, secured) > 0) && !strings.HasSuffix(best.Suite, securitySuite):
				best.Secured = one.Version
			default:
				continue
			}
			offers.Packages[one.Name] = best
		}
	}
	if len(offers.Packages) == 0 {
		return nil, fmt.Errorf("the repository of %s offers nothing", p.Ecosystem)
	}
	if old != nil {
		for name, o := range offers.Packages {
			if was, ok := old.Packages[name]; ok && was.Version == o.Version {
				o.Since = was.Since
				offers.Packages[name] = o
			}
		}
	}
	return offers, nil
}

// Newer is a source package of which images have packages in an older version than a
// repository offers.
type Newer struct {
	Package string `json:"package"`
	// Binaries are the packages built from it that are older.
	Binaries []string `json:"binaries"`
	// Have and Offered are versions of the first of them.
	Have    string   `json:"have"`
	Offered string   `json:"offered"`
	Suite   string   `json:"suite"`
	Images  []string `json:"images"`
	// Since is when that version was first seen here.
	Since time.Time `json:"since"`
	// Advised is that an advisory names a vulnerability that it mends.
	Advised bool `json:"advised"`
}

// Security is that it is of a suite of security updates.
func (n *Newer) Security() bool { return strings.HasSuffix(n.Suite, securitySuite) }

// Newer are the source packages that the repositories have newer packages of, those
// of security updates first, and those that no advisory names before the others.
// What was read too long ago is a gap of the answer.
func (a *Answer) Newer(r *Repositories) ([]Newer, error) {
	var list []Newer
	for _, p := range a.Platforms() {
		offers, err := r.Offers(p)
		if err != nil {
			return nil, err
		}
		if offers == nil {
			continue
		}
		a.Gaps = append(a.Gaps, r.stale(offers)...)
		of, err := ecosystem.Of(p.Ecosystem)
		if err != nil {
			return nil, err
		}
		// The packages of a source are one signal.
		type key struct{ source, version, offered string }
		at := map[key]int{}
		for _, name := range slices.Sorted(maps.Keys(a.installed[p])) {
			offer, there := offers.Packages[name]
			if !there {
				continue
			}
			for version, have := range a.installed[p][name] {
				if !of.Order.Valid(version) || of.Order.Compare(version, offer.Version) >= 0 {
					continue
				}
				offered := cmp.Or(offer.Source, offer.Version)
				k := key{have.source, have.sourceVersion, offered}
				if i, known := at[k]; known {
					list[i].Binaries = append(list[i].Binaries, name)
					for _, image := range have.images {
						if !slices.Contains(list[i].Images, image) {
							list[i].Images = append(slices.Clip(list[i].Images), image)
						}
					}
					continue
				}
				at[k] = len(list)
				list = append(list, Newer{
					Package: have.source, Binaries: []string{name}, Have: version, Offered: offer.Version, Suite: offer.Suite, Images: have.images,
					Since: offer.Since, Advised: a.advised(of, have.source, have.sourceVersion, offered),
				})
			}
		}
	}
	slices.SortFunc(list, func(x, y Newer) int {
		first := func(yes bool) string {
			if yes {
				return "0"
			}
			return "1"
		}
		return strings.Compare(first(x.Security())+first(!x.Advised)+x.Package+"\x00"+x.Have, first(y.Security())+first(!y.Advised)+y.Package+"\x00"+y.Have)
	})
	return list, nil
}

// advised tells whether an advisory names a vulnerability of a version that an
// offered one is without.
func (a *Answer) advised(of *ecosystem.Distribution, source, have, offered string) bool {
	return slices.ContainsFunc(a.Concerns, func(c *Concern) bool {
		return slices.ContainsFunc(c.Places, func(p Place) bool {
			return (p.State == applies.Affected || p.State == applies.Waived) && p.Package == source && p.Version == have &&
				p.said == advisory.StateAffected && of.Order.Valid(p.Fixed) && of.Order.Compare(p.Fixed, offered) <= 0
		})
	})
}
