package feeds

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/csaf"
	"imgbuild/images/advisory/debian"
	"imgbuild/images/advisory/eol"
	"imgbuild/images/advisory/epss"
	"imgbuild/images/advisory/kev"
	"imgbuild/images/advisory/msrc"
	"imgbuild/images/advisory/osv"
)

// reading is what was found in the files of a feed.
type reading struct {
	records int
	// asOf is the newest date, zero when there is none.
	asOf time.Time
}

// newest notes dates. Those far in the future are left out, so that no record
// makes a feed look new for ever.
func (r *reading) newest(now time.Time, dates ...time.Time) {
	for _, t := range dates {
		if t.After(r.asOf) && !t.After(now.Add(leap)) {
			r.asOf = t.UTC()
		}
	}
}

// stored is a file of a feed that lies on disk. There may be more of them than a
// process may have open.
type stored struct{ name, path string }

// with opens it for use. That there is nothing in it is an alarm of its own.
func (f stored) with(use func(content) error) error {
	file, info, err := openRegular(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	c := content{f.name, file, info.Size()}
	err = use(c)
	if err != nil && c.blank() {
		return emptyFile(f.name)
	}
	return err
}

// reader reads the files of one feed.
type reader struct {
	reading
	ctx  context.Context
	kind Kind
	now  time.Time
	each func(*advisory.Record) error
	// months are put together when all are there; weight is that of those that are.
	months []*msrc.Document
	weight int
	// documents is how many were read, but for those of OSV's archives.
	documents int
	kev       *kev.Catalog
	epss      *epss.Scores
	eol       []*eol.Feed
}

// read reads all files of a feed and gives its records, where its kind has any;
// kinds that say something about vulnerabilities that others publish are counted
// alone. It ends with the first error: of a feed of which one record cannot be
// read it is not known what is missing.
func read(ctx context.Context, kind Kind, files []stored, now time.Time, each func(*advisory.Record) error) (*reader, error) {
	r := &reader{ctx: ctx, kind: kind, now: now, each: each}
	for _, f := range files {
		if err := f.with(r.file); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if len(r.months) > 0 {
		history, err := msrc.NewHistory(r.months)
		if err != nil {
			return nil, err
		}
		if err := history.Records(r.take); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *reader) take(record *advisory.Record) error {
	if r.records++; r.records%1024 == 0 && r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	r.newest(r.now, record.Published, record.Modified)
	return r.each(record)
}

func (r *reader) file(c content) error {
	if r.kind == OSV && c.begins(zipMagic) {
		if _, err := c.openZip(); err != nil {
			return err
		}
		return osv.Read(r.ctx, c.file, c.size, r.take)
	}
	return c.documents(r.ctx, r.kind.traits().unpacked, r.document)
}

// document reads one document of any kind.
func (r *reader) document(name string, from io.Reader) error {
	if r.documents++; r.documents > 1 && !r.kind.traits().many {
		return fmt.Errorf("a feed of kind %s is one document, and this is another: it is not known which of them holds", r.kind)
	}
	switch r.kind {
	case OSV:
		data, err := whole(from)
		if err != nil {
			return err
		}
		record, err := osv.Decode(data)
		if err != nil {
			return err
		}
		return r.take(record)
	case CSAF:
		data, err := whole(from)
		if err != nil {
			return err
		}
		d, err := csaf.Decode(data)
		if err != nil {
			return err
		}
		// Documents count: those about other things than packages have no record.
		n := r.records + 1
		for _, record := range d.Records {
			if err := r.take(record); err != nil {
				return err
			}
		}
		r.records = n
		return nil
	case DebianTracker:
		return debian.Tracker(from, r.take)
	case DebianAdvisories:
		return debian.List(from, r.take)
	case MSRC:
		d, err := msrc.Read(from)
		if err != nil {
			return err
		}
		if r.weight += d.Weight(); r.weight > msrc.MaxWeight {
			return fmt.Errorf("it and those before it refer to products more than %d times", msrc.MaxWeight)
		}
		r.months = append(r.months, d)
		r.newest(r.now, d.Released, d.Revised)
		return nil
	}
	return r.facts(name, from)
}

// facts reads a document about vulnerabilities or systems that others publish.
func (r *reader) facts(name string, from io.Reader) error {
	switch r.kind {
	case KEV:
		catalog, err := kev.Read(from)
		if err != nil {
			return err
		}
		r.kev, r.records = catalog, r.records+len(catalog.Entries)
		r.newest(r.now, catalog.Released)
		return nil
	case EPSS:
		scores, err := epss.Read(from)
		if err != nil {
			return err
		}
		r.epss, r.records = scores, r.records+scores.Len()
		r.newest(r.now, scores.Date)
		return nil
	case EOL:
		dates, err := eol.Read(from, strings.TrimSuffix(path.Base(name), ".json"))
		if err != nil {
			return err
		}
		r.eol = append(r.eol, dates)
		r.newest(r.now, dates.Generated)
		for _, p := range dates.Products {
			r.records += len(p.Releases)
		}
		return nil
	}
	return fmt.Errorf("this program does not read feeds of kind %s", r.kind)
}

// whole is a document of which its own reader says whether it is too large.
func whole(from io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(from, maxDocument)) }

// maxDocument is more than any reader of single documents takes, which then says
// so.
const maxDocument = 64<<20 + 1

// blank says whether there is nothing in a file: no byte, or JSON or an archive
// that is empty.
func (c content) blank() bool {
	if c.begins(zipMagic) {
		archive, err := c.openZip()
		if err != nil {
			return false
		}
		for _, f := range archive.File {
			if !f.FileInfo().IsDir() {
				return false
			}
		}
		return true
	}
	if c.size > 4096 {
		return false
	}
	text, err := io.ReadAll(io.NewSectionReader(c.file, 0, c.size))
	if err != nil {
		return false
	}
	switch strings.Join(strings.Fields(string(text)), "") {
	case "", "{}", "[]", "null":
		return true
	}
	return false
}

// unreadable makes an alarm of an error of read.
func unreadable(kind Kind, err error) *Alarm {
	var alarm *Alarm
	if errors.As(err, &alarm) {
		return alarm
	}
	if errors.Is(err, advisory.ErrTooLarge) {
		return &Alarm{What: Unreadable, Reason: "it is too large to be indexed: " + line(err), Mend: "have it speak of your releases alone, such as releases: [Ubuntu:24.04] in " + FileName + ", or imgbuild feeds add --releases; what was kept before stays"}
	}
	var syntax *xml.SyntaxError
	mend := "see what the source sends; what was kept before stays"
	if errors.Is(err, advisory.ErrTruncated) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &syntax) && strings.Contains(syntax.Msg, "EOF") {
		return &Alarm{What: Truncated, Reason: "it ends too early: " + line(err), Mend: "read it again later; what was kept before stays"}
	}
	return &Alarm{What: Unreadable, Reason: "it is no whole feed of kind " + string(kind) + ": " + line(err), Mend: mend}
}

// line is an error as one line that can be printed.
func line(err error) string { return advisory.Line(err.Error()) }
