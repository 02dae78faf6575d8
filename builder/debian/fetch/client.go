package fetch

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"time"

	"imgbuild/images/fault"
)

// maxRedirects is how often a server may send on to another address.
const maxRedirects = 10

// NewClient returns a client for many parallel downloads from few hosts; it
// follows the proxy variables of the environment. It reads file: URLs too, as
// repositories on this machine have them.
func NewClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	t.ResponseHeaderTimeout = time.Minute
	t.DisableCompression = true
	t.RegisterProtocol("file", files{http.NewFileTransport(http.Dir("/"))})
	return &http.Client{Transport: t, CheckRedirect: checkRedirect}
}

// files answers requests for file: URLs.
type files struct{ http.RoundTripper }

func (f files) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := filePath(r.URL); err != nil {
		return nil, err
	}
	return f.RoundTripper.RoundTrip(r)
}

// filePath is the path that a file: URL names on this machine.
func filePath(u *url.URL) (string, error) {
	if u.Host != "" && u.Host != "localhost" || !path.IsAbs(u.Path) {
		return "", fault.Inputf("%s names no file of this machine", u).WithHint("write file:///ABSOLUTE/PATH")
	}
	return u.Path, nil
}

// checkRedirect lets no server point at files of this machine.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if r.URL.Scheme == "file" {
		return fault.Worldf("%s sends on to %s", via[len(via)-1].URL.Redacted(), r.URL)
	}
	if len(via) >= maxRedirects {
		return fmt.Errorf("sent on more than %d times", maxRedirects)
	}
	return nil
}
