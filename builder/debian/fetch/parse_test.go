package fetch_test

import (
	"fmt"
	"testing"

	"imgbuild/builder/debian/fetch"
	"imgbuild/images/fault"
)

func TestParseSource(t *testing.T) {
	for text, want := range map[string]string{
		"/srv/archive":                       "fetch.Directory",
		"https://archive.example/imgbuild":   "fetch.HTTPArchive",
		"docker://registry.example/imgbuild": "*fetch.Registry",
	} {
		got, err := fetch.ParseSource(text)
		if err != nil || fmt.Sprintf("%T", got) != want {
			t.Errorf("%s: got %T, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "relative/dir", "ftp://x/y", "docker://host", "https://"} {
		if _, err := fetch.ParseSource(text); fault.KindOf(err) != fault.Input {
			t.Errorf("%q: got %v, want a fault of input", text, err)
		}
	}
}
