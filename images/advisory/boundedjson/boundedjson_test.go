package boundedjson_test

import (
	"runtime"
	"strings"
	"testing"

	"imgbuild/images/advisory/boundedjson"
)

type list struct {
	Items []struct{ A, B, C, D, E, F, G, H string } `json:"items"`
}

var limits = boundedjson.Limits{Bytes: 1 << 20, Elements: 20_000}

func TestRead(t *testing.T) {
	got, err := boundedjson.Read[list](strings.NewReader(` {"items": [{"A": "x"}, null], "other": 1}`+"\n"), limits)
	if err != nil || len(got.Items) != 2 || got.Items[0].A != "x" {
		t.Errorf("it is %v: %v", got, err)
	}
	for text, says := range map[string]string{
		"": "it is empty", "\n": "it is empty", "\xef\xbb\xbf{}": "byte order mark", "{\x00}": "invalid", "{}{}": "after top-level value", `{"a": 1, "a": 2}`: "duplicate",
		"{\"a\": \"\xff\"}": "invalid UTF-8", strings.Repeat(" ", 1<<20) + "{}": "it has more than 1048576 bytes",
		`{"items": [` + strings.Repeat("null,", 20_000) + "null]}":                   "elements, the limit is 20000",
		`{"x": ` + strings.Repeat("[", 15_000) + strings.Repeat("]", 15_000) + "}":   "exceeded max depth",
		`{"x": ` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}": "elements, the limit is 20000",
	} {
		if _, err := boundedjson.Read[list](strings.NewReader(text), limits); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v does not say %q", text, err, says)
		}
	}
}

// TestMemory decodes what is nearly too much.
func TestMemory(t *testing.T) {
	text := `{"items": [` + strings.Repeat("null,", 19_990) + "null]}"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := boundedjson.Decode[list]([]byte(text), limits); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d elements took %d bytes", 19_991, used)
	}
}
