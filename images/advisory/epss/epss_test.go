package epss_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"imgbuild/images/advisory/epss"
)

func scores(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/scores.csv")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func compressed(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRead(t *testing.T) {
	plain := scores(t)
	for name, data := range map[string]string{"plain": plain, "gzip": compressed(t, plain), "lines as of Windows": strings.ReplaceAll(plain, "\n", "\r\n")} {
		s, err := epss.Read(strings.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Model != "v2030.01.01" || !s.Date.Equal(time.Date(2030, 1, 2, 12, 0, 27, 0, time.UTC)) || s.Len() != 4 {
			t.Errorf("%s: %d scores of model %s of %v", name, s.Len(), s.Model, s.Date)
		}
		for id, want := range map[string]epss.Score{
			"CVE-2030-0001": {Probability: 0.97565, Percentile: 0.99998}, "CVE-1999-0001": {Probability: 0.0142, Percentile: 0.7991},
			"CVE-2030-1234567": {Probability: 0.00042, Percentile: 0.051}, "CVE-2030-01234567": {Probability: 0, Percentile: 1},
		} {
			if got, ok := s.Find(id); !ok || got != want {
				t.Errorf("%s: %s has %v, %v", name, id, got, ok)
			}
		}
		for _, id := range []string{"CVE-2030-0002", "CVE-2030-00001", "CVE-2030-1", "DSA-1-1", "", "CVE-2030-9999999999999"} {
			if got, ok := s.Find(id); ok {
				t.Errorf("%s: %s has %v", name, id, got)
			}
		}
	}
}

func TestDates(t *testing.T) {
	for _, date := range []string{"2022-02-04T00:00:00+0000", "2022-02-04T00:00:00Z", "2022-02-04"} {
		s, err := epss.Read(strings.NewReader("#model_version:v2022.01.01,score_date:" + date + "\ncve,epss,percentile\nCVE-2020-0001,0.5,0.5\n"))
		if err != nil || !s.Date.Equal(time.Date(2022, 2, 4, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: %v", date, err)
		}
	}
	s, err := epss.Read(strings.NewReader("cve,epss,percentile\nCVE-2020-0001,0.5,0.5\n"))
	if err != nil || !s.Date.IsZero() || s.Model != "" {
		t.Errorf("without a comment: %v", err)
	}
}

func TestWhatIsNoScores(t *testing.T) {
	text := scores(t)
	z := compressed(t, text)
	head := "cve,epss,percentile\n"
	for data, says := range map[string]string{
		"":                            "it has no score",
		head:                          "it has no score",
		"#model_version:v1\n":         "it has no score",
		"<html>\n":                    "its columns are",
		"cve,epss\nCVE-2020-0001,1\n": "its columns are",
		text[:len(text)-1]:            "cut short",
		text[:len(text)-5]:            "cut short",
		z[:len(z)-9]:                  "cut short",
		z[:len(z)-1]:                  "cut short",
		z[:5]:                         "EOF",
		z[:len(z)-8] + "\x00\x00\x00\x00" + z[len(z)-4:]: "checksum",
		text + "CVE-2030-0001,0.5,0.5\n":                 "CVE-2030-0001 is in it twice",
		head + "CVE-2020-0001,0.5\n":                     "2 columns instead of 3",
		head + "CVE-2020-0001,0.5,0.5,0.5\n":             "4 columns instead of 3",
		head + "GHSA-1,0.5,0.5\n":                        "is no CVE",
		head + "CVE-2020-001,0.5,0.5\n":                  "is no CVE",
		head + "CVE-2020-0001,1.5,0.5\n":                 "no number from 0 to 1",
		head + "CVE-2020-0001,0.5,-0.5\n":                "no number from 0 to 1",
		head + "CVE-2020-0001,NaN,0.5\n":                 "no number from 0 to 1",
		head + "CVE-2020-0001,,0.5\n":                    "no number from 0 to 1",
		head + "CVE-2020-0001,\"0.5,0.5\n":               "quote",
		head + "CVE-2020-0001,0.5,\xff\n":                "is not UTF-8",
		"#score_date:soon\n" + head:                      "cannot be read",
		head + strings.Repeat("x", 300) + "\n":           "a line has more than 256 bytes",
		head + strings.Repeat("x", 1<<20):                "a line has more than 256 bytes",
		"\xef\xbb\xbf" + text:                            "its columns are",
		// A small file that unpacks to much is read up to the limit.
		compressed(t, head+strings.Repeat("CVE-2020-0001,0."+strings.Repeat("0", 220)+",0.5\n", 280_000)): "more than 67108864 bytes",
		"#model_version:v1\n#model_version:v1\n" + head:                                                   "its columns are",
	} {
		if _, err := epss.Read(strings.NewReader(data)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", data, err, says)
		}
	}
}

// TestAllScores reads as many scores as there are of one day.
func TestAllScores(t *testing.T) {
	var b strings.Builder
	b.WriteString("cve,epss,percentile\n")
	const n = 330_000
	for i := range n {
		fmt.Fprintf(&b, "CVE-%d-%04d,0.%05d,0.%05d\n", 1999+i%30, i/30, i%100_000, i%99_999)
	}
	s, err := epss.Read(strings.NewReader(b.String()))
	if err != nil || s.Len() != n {
		t.Fatal(err)
	}
	if got, ok := s.Find("CVE-2000-10000"); !ok || got != (epss.Score{Probability: 0.00001, Percentile: 0.00004}) {
		t.Errorf("it is %v, %v", got, ok)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(scores(f)))
	f.Add([]byte(compressed(f, scores(f))))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := epss.Read(bytes.NewReader(data))
		if err == nil && s.Len() == 0 {
			t.Error("no score is no error")
		}
	})
}
