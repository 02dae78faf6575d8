package advisory_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/advisory/osv"
)

// What is measured is as large as Debian: all of its OSV records, of which
// those that were looked at have 11 kB on average, with 46 versions of each
// affected package; a machine of 800 packages; and the index of them.
const (
	benchRecords  = 44_000
	benchSources  = 4_000
	benchPackages = 800
)

// benchDir names a directory where what is measured is kept from one process to
// the next, so that the memory of each is its own.
const benchDir = "IMGBUILD_BENCH_ADVISORIES"

// benchFile is a file of that directory, or of one of the benchmark's own, and
// whether it is there.
func benchFile(b *testing.B, name string) (string, bool) {
	b.Helper()
	dir := os.Getenv(benchDir)
	if dir == "" {
		return filepath.Join(b.TempDir(), name), false
	}
	name = filepath.Join(dir, name)
	_, err := os.Stat(name)
	return name, err == nil
}

// fakeDebian writes an archive of as many records as Debian has. Few packages
// have most of the vulnerabilities, as it is.
func fakeDebian(b *testing.B) string {
	b.Helper()
	name, made := benchFile(b, "all.zip")
	if made {
		return name
	}
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	out := bufio.NewWriterSize(f, 1<<20)
	w := zip.NewWriter(out)
	deflate, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) {
		deflate.Reset(to)
		return deflate, nil
	})
	rng := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(rng, 1.3, 20, benchSources-1)
	references := strings.Repeat(`{"type": "WEB", "url": "https://lists.example.org/archives/list/announce@example.org/message/33LDNS6RPOPP36Z4MPWXALUQZXJCWJS2/"}, `, 24)
	for i := range benchRecords {
		entry, err := w.Create(fmt.Sprintf("CVE-%d-%d.json", 2002+i/2000, i))
		if err != nil {
			b.Fatal(err)
		}
		writeFake(entry, i, fmt.Sprint("source", zipf.Uint64()), rng, references)
	}
	for _, err := range []error{w.Close(), out.Flush(), f.Close()} {
		if err != nil {
			b.Fatal(err)
		}
	}
	return name
}

// fakeVersion is the nth version of any source package.
func fakeVersion(n int) string {
	return fmt.Sprintf("1:%d.%d.%d-%d+deb12u%d", n/60, n/6%10, n%6, n%3+1, n%4)
}

func writeFake(w io.Writer, i int, source string, rng *rand.Rand, references string) {
	var o bytes.Buffer
	fmt.Fprintf(&o, `{"schema_version": "1.6.0", "id": "CVE-%d-%d", "modified": "2026-01-02T03:04:05Z", "published": "2026-01-02T03:04:05Z", `, 2002+i/2000, i)
	fmt.Fprintf(&o, `"aliases": ["BIT-%d"], "related": ["DSA-%d-1"], "details": %q, `, i, i, strings.Repeat("Sizes that are read are not looked at. ", 12))
	fmt.Fprintf(&o, `"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:%c/I:N/A:H"}], "affected": [`, "NLH"[i%3])
	for release := 11; release <= 13; release++ {
		// Half of them were fixed long ago, and have no list of versions.
		first, n := 0, 0
		if rng.IntN(2) == 0 {
			first, n = rng.IntN(100), 20+rng.IntN(120)
		}
		fmt.Fprintf(&o, `{"package": {"ecosystem": "Debian:%d", "name": %q, "purl": "pkg:deb/debian/%s?arch=source"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": %q}]}], "versions": [`,
			release, source, source, fakeVersion(first+n))
		for v := range n {
			if v > 0 {
				o.WriteString(", ")
			}
			o.WriteString(strconv.Quote(fakeVersion(first + v)))
		}
		o.WriteString(`], "ecosystem_specific": {"urgency": "not yet assigned"}, "database_specific": {"source": "https://storage.example.org/cve-osv-conversion/osv-output/CVE.json"}}`)
		if release < 13 {
			o.WriteString(", ")
		}
	}
	fmt.Fprintf(&o, `], "references": [%s{"type": "ADVISORY", "url": "https://tracker.example.org/CVE-%d"}]}`, references, i)
	if _, err := w.Write(o.Bytes()); err != nil {
		panic(err) // zip.Writer's buffer
	}
}

// fakeSBOM is the SBOM of a machine, of some 600 bytes a package as package sbom
// writes them.
func fakeSBOM(machine int) []byte {
	var o bytes.Buffer
	o.WriteString(`{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "operating-system", "name": "debian", "version": "12"}`)
	for i := range benchPackages {
		// A source has two packages. One in ten of all sources is there, and the
		// first, which has as many vulnerabilities as a kernel.
		source := i / 2 * benchSources / (benchPackages / 2)
		version := fakeVersion(40 + (source+machine)%60)
		fmt.Fprintf(&o, `, {"bom-ref": "pkg:deb/debian/lib%[1]d@%[2]s?arch=amd64&distro=debian-12&upstream=source%[3]d", "type": "library", "supplier": {"name": "Some Maintainers"}, "name": "lib%[1]d", `+
			`"version": %[2]q, "description": "what it does in one line", "hashes": [{"alg": "SHA-256", "content": "%064[1]x"}], "purl": "pkg:deb/debian/lib%[1]d@%[2]s?arch=amd64&distro=debian-12&upstream=source%[3]d", `+
			`"properties": [{"name": "imgbuild:source", "value": "source%[3]d"}, {"name": "imgbuild:source-version", "value": %[2]q}]}`, i, version, source)
	}
	o.WriteString("]}")
	return o.Bytes()
}

func buildIndex(b *testing.B, archive, name string) {
	b.Helper()
	builder, err := advisory.NewBuilder()
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(archive)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	if err := osv.Read(context.Background(), f, info.Size(), builder.Add); err != nil {
		b.Fatal(err)
	}
	out, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	if err := builder.Write(out); err != nil {
		b.Fatal(err)
	}
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
}

// peak is the most memory that this process has had, in bytes.
func peak(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kilobytes * 1024
		}
	}
	return 0
}

// BenchmarkIndex is run alone for its memory: the process's peak is reported.
func BenchmarkIndex(b *testing.B) {
	archive := fakeDebian(b)
	name, _ := benchFile(b, "index")
	before := peak(b)
	for b.Loop() {
		buildIndex(b, archive, name)
	}
	info, err := os.Stat(name)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/1e6, "MB-index")
	b.ReportMetric(before/1e6, "MB-peak-before")
	b.ReportMetric(peak(b)/1e6, "MB-peak")
}

func BenchmarkMatch(b *testing.B) {
	name, made := benchFile(b, "index")
	if !made {
		buildIndex(b, fakeDebian(b), name)
	}
	document := fakeSBOM(0)
	if dir := os.Getenv(benchDir); dir != "" {
		// For whoever else can match it.
		if err := os.WriteFile(filepath.Join(dir, "machine.cdx.json"), document, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	packages, err := installed.FromCycloneDX(document)
	if err != nil {
		b.Fatal(err)
	}
	x, err := advisory.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	type matcher interface {
		Match([]installed.Package) (*advisory.Result, error)
	}
	match := func(b *testing.B, x matcher, packages []installed.Package) int {
		result, err := x.Match(packages)
		if err != nil || len(result.Unjudged) > 0 || len(result.Findings) < 1000 {
			b.Fatal(err, result.Unjudged, len(result.Findings))
		}
		return len(result.Findings)
	}
	b.Run("from disk", func(b *testing.B) {
		for b.Loop() {
			packages, err := installed.FromCycloneDX(document)
			if err != nil {
				b.Fatal(err)
			}
			x, err := advisory.Open(name)
			if err != nil {
				b.Fatal(err)
			}
			match(b, x, packages)
			if err := x.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("in memory", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n = match(b, x, packages)
		}
		b.ReportMetric(float64(n), "findings")
	})
	b.Run("10000 SBOMs", func(b *testing.B) {
		documents := make([][]byte, 50)
		for i := range documents {
			documents[i] = fakeSBOM(i)
		}
		b.SetBytes(int64(len(document)) * 10_000)
		for b.Loop() {
			machines, images := make(chan int), x.Matcher()
			var workers sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				workers.Go(func() {
					for i := range machines {
						packages, err := installed.FromCycloneDX(documents[i%len(documents)])
						if err != nil {
							b.Error(err)
							return
						}
						match(b, images, packages)
					}
				})
			}
			for i := range 10_000 {
				machines <- i
			}
			close(machines)
			workers.Wait()
		}
		b.ReportMetric(peak(b)/1e6, "MB-peak")
	})
	b.Run("packages of an advisory", func(b *testing.B) {
		for b.Loop() {
			if names, err := x.Packages("BIT-22000"); err != nil || len(names) != 3 {
				b.Fatal(names, err)
			}
		}
	})
}
