package fetch

import (
	"net/url"
	"path/filepath"
	"strings"

	"imgbuild/images/fault"
)

// ParseSource reads one entry of the setting archive.sources: a directory, an
// http:// or https:// URL of an archive, or docker://HOST[:PORT]/PATH.
func ParseSource(text string) (Source, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		if !filepath.IsAbs(text) {
			return nil, fault.Inputf("archive source %q is neither a URL nor an absolute directory", text)
		}
		return Directory{Dir: text}, nil
	}
	switch scheme {
	case "http", "https":
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return nil, fault.Inputf("archive source %q is not a URL", text)
		}
		return HTTPArchive{Base: text}, nil
	case "docker":
		host, _, ok := strings.Cut(rest, "/")
		if !ok || host == "" {
			return nil, fault.Inputf("archive source %q names no repository", text).WithHint("write docker://HOST[:PORT]/PATH")
		}
		return &Registry{Repository: rest}, nil
	}
	return nil, fault.Inputf("archive source %q: %s:// is not known", text, scheme).WithHint("use a directory, https:// or docker://")
}
