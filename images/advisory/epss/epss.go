// Package epss reads the scores of the Exploit Prediction Scoring System
// (https://www.first.org/epss/data_stats): how likely it is that a vulnerability
// is exploited within the next thirty days. It never downloads anything and
// knows no package.
package epss

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"imgbuild/images/advisory"
)

// Limits. A file of 2026 has some 330,000 scores and 10 MB, 2 MB compressed.
const (
	maxBytes  = 64 << 20
	maxScores = 5_000_000
	maxLine   = 256
)

// Scores are the scores of one day. They take 16 bytes each and are not changed
// once they are read.
type Scores struct {
	// Model is the version of the model, "v2025.03.14", and Date when it was
	// asked. Files of before 2022 name neither.
	Model string
	Date  time.Time
	list  []entry
}

// Score is how likely a vulnerability is exploited.
type Score struct {
	// Probability is from 0 to 1, and Percentile the share of all vulnerabilities
	// that have the same probability or a lower one, from 0 to 1.
	Probability, Percentile float64
}

// entry is the score of a CVE, whose number is the year and what is behind it.
type entry struct {
	number                  uint64
	probability, percentile float32
}

// Read reads a file in CSV, compressed with gzip or not.
func Read(r io.Reader) (*Scores, error) {
	s, err := read(r)
	if err != nil {
		return nil, fmt.Errorf("reading EPSS scores: %w", err)
	}
	return s, nil
}

func read(r io.Reader) (*Scores, error) {
	in := bufio.NewReader(r)
	if begin, _ := in.Peek(2); bytes.Equal(begin, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReader(z)
	}
	lines := &limited{from: in, left: maxBytes}
	s, err := readCSV(lines)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(lines.err, io.ErrUnexpectedEOF):
		return nil, advisory.ErrTruncated
	case lines.err != nil:
		return nil, lines.err
	}
	return s, err
}

// limited gives whole lines of UTF-8, of at most maxLine bytes: the reader of
// CSV would hold a line of any length. What is cut off within a line is an
// error, for the score in it would be another.
type limited struct {
	from *bufio.Reader
	rest []byte
	left int64
	err  error
}

func (l *limited) Read(p []byte) (int, error) {
	if len(l.rest) == 0 && l.err == nil {
		l.rest, l.err = l.line()
	}
	if len(l.rest) == 0 {
		if l.err == io.EOF {
			l.err = nil
			return 0, io.EOF
		}
		return 0, l.err
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *limited) line() ([]byte, error) {
	line, err := l.from.ReadSlice('\n')
	l.left -= int64(len(line))
	switch {
	case l.left < 0:
		return nil, fmt.Errorf("it has more than %d bytes", maxBytes)
	case len(line) > maxLine || errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("a line has more than %d bytes", maxLine)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, fmt.Errorf("%w: its last line does not end", advisory.ErrTruncated)
	case err != nil:
		return nil, err
	case !utf8.Valid(line):
		return nil, fmt.Errorf("the line %q is not UTF-8", line)
	}
	return line, nil
}

func readCSV(r io.Reader) (*Scores, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord, in.ReuseRecord = -1, true
	s := &Scores{}
	columns := []string{"cve", "epss", "percentile"}
	first, headed := true, false
	for ; ; first = false {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch {
		case first && strings.HasPrefix(row[0], "#"):
			err = s.comment(row)
		case !headed:
			if headed = true; !slices.Equal(row, columns) {
				err = fmt.Errorf("its columns are %q instead of %q", advisory.Line(strings.Join(row, ",")), strings.Join(columns, ","))
			}
		case len(s.list) == maxScores:
			err = fmt.Errorf("it has more than %d scores", maxScores)
		default:
			err = s.add(row)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(s.list) == 0 {
		return nil, errors.New("it has no score")
	}
	slices.SortFunc(s.list, func(a, b entry) int { return cmp.Compare(a.number, b.number) })
	for i := 1; i < len(s.list); i++ {
		if s.list[i].number == s.list[i-1].number {
			return nil, fmt.Errorf("%s is in it twice", s.list[i].id())
		}
	}
	return s, nil
}

// comment reads "#model_version:v2025.03.14,score_date:2025-09-03T12:55:00Z".
func (s *Scores) comment(row []string) error {
	for _, field := range row {
		name, value, _ := strings.Cut(strings.TrimPrefix(field, "#"), ":")
		switch name {
		case "model_version":
			s.Model = advisory.Line(value)
		case "score_date":
			for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700", time.DateOnly} {
				if t, err := time.Parse(layout, value); err == nil {
					s.Date = t.UTC()
				}
			}
			if s.Date.IsZero() {
				return fmt.Errorf("its date %.40q cannot be read", value)
			}
		}
	}
	return nil
}

func (s *Scores) add(row []string) error {
	if len(row) != 3 {
		return fmt.Errorf("a line has %d columns instead of 3: %q", len(row), strings.Join(row, ","))
	}
	number, ok := numberOf(row[0])
	if !ok {
		return fmt.Errorf("%.60q is no CVE", row[0])
	}
	e := entry{number: number}
	for i, to := range []*float32{&e.probability, &e.percentile} {
		f, err := strconv.ParseFloat(row[1+i], 32)
		if err != nil || !(f >= 0 && f <= 1) {
			return fmt.Errorf("%s: %.40q is no number from 0 to 1", row[0], row[1+i])
		}
		*to = float32(f)
	}
	s.list = append(s.list, e)
	return nil
}

// Numbers hold the year above the number within it, and between them how long
// that is: zeros before it belong to the id.
const (
	digitBits  = 4
	serialBits = 44
	maxDigits  = 12
)

// numberOf is the number of a CVE.
func numberOf(id string) (uint64, bool) {
	rest, ok := strings.CutPrefix(id, "CVE-")
	year, serial, found := strings.Cut(rest, "-")
	if !ok || !found || len(year) != 4 || len(serial) < 4 || len(serial) > maxDigits {
		return 0, false
	}
	y, err := strconv.ParseUint(year, 10, 16)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(serial, 10, serialBits)
	if err != nil {
		return 0, false
	}
	return y<<(serialBits+digitBits) | uint64(len(serial))<<serialBits | n, true
}

func (e entry) id() string {
	return fmt.Sprintf("CVE-%04d-%0*d", e.number>>(serialBits+digitBits), int(e.number>>serialBits&(1<<digitBits-1)), e.number&(1<<serialBits-1))
}

// Len is how many scores there are.
func (s *Scores) Len() int { return len(s.list) }

// Find is the score of a CVE. That there is none says nothing: it may be new.
func (s *Scores) Find(id string) (Score, bool) {
	number, ok := numberOf(id)
	if !ok {
		return Score{}, false
	}
	i, ok := slices.BinarySearchFunc(s.list, number, func(e entry, number uint64) int { return cmp.Compare(e.number, number) })
	if !ok {
		return Score{}, false
	}
	return Score{rounded(s.list[i].probability), rounded(s.list[i].percentile)}, true
}

// rounded is a score with the six digits that are kept of one.
func rounded(f float32) float64 { return math.Round(float64(f)*1e6) / 1e6 }
