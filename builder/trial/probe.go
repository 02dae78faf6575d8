package trial

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
)

// Answer is how a running image answered one probe of its recipe.
type Answer struct {
	Probe string `json:"probe"`
	// Asked says what was asked: "GET /, port 80".
	Asked string `json:"asked"`
	// Error is why it did not answer; empty when it did.
	Error string `json:"error,omitempty"`
}

// asked are the probes that an output answers, by name.
func asked(probes map[string]baseline.Probe, machine bool) map[string]baseline.Probe {
	output := "container"
	if machine {
		output = "vm"
	}
	chosen := maps.Clone(probes)
	maps.DeleteFunc(chosen, func(_ string, p baseline.Probe) bool {
		return len(p.Outputs) > 0 && !slices.Contains(p.Outputs, output) || p.Unit != "" && !machine
	})
	return chosen
}

// port is the TCP port that a probe asks, 0 for none.
func port(p baseline.Probe) int {
	switch {
	case p.HTTP != nil:
		return p.HTTP.Port
	case p.TCP != nil:
		return p.TCP.Port
	}
	return 0
}

// describe says what a probe asks.
func describe(p baseline.Probe) string {
	switch {
	case p.HTTP != nil:
		with := ""
		if p.HTTP.TLS != nil {
			with = ", TLS"
		}
		return fmt.Sprintf("GET %s, port %d%s", path(p.HTTP), p.HTTP.Port, with)
	case p.TCP != nil:
		return fmt.Sprintf("TCP port %d", p.TCP.Port)
	case p.Unit != "":
		return "unit " + p.Unit
	}
	return strings.Join(p.Command, " ")
}

// url is where a web probe asks, at an address of this machine.
func url(h *baseline.HTTPProbe, address string) string {
	scheme := "http"
	if h.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + address + path(h)
}

func path(h *baseline.HTTPProbe) string {
	if h.Path == "" {
		return "/"
	}
	return h.Path
}

// ask asks every probe until it is answered, all at once. Each has the time
// that its recipe gives it from the start, else patience; an emulated machine,
// whose time says nothing, has patience at least.
func (t *Trial) ask(ctx context.Context, s Spec) error {
	names := slices.Sorted(maps.Keys(t.probes))
	t.Answers = make([]Answer, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		p := t.probes[name]
		limit := time.Duration(p.Within)
		if limit == 0 || t.emulated {
			limit = max(limit, s.Patience)
		}
		group.Go(func() {
			task := s.Report.Start("probe "+name, 0, 0)
			t.Answers[i] = Answer{Probe: name, Asked: describe(p)}
			limited, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			if err := t.answer(limited, p); err != nil {
				if limited.Err() != nil {
					err = fmt.Errorf("not within %s: %w", limit, err)
				}
				t.Answers[i].Error = err.Error()
				task.Fail(err)
				return
			}
			task.Done(describe(p))
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	var silent []string
	for _, a := range t.Answers {
		switch p := t.probes[a.Probe]; {
		case a.Error != "":
			silent = append(silent, fmt.Sprintf("%s (%s): %s", a.Probe, a.Asked, a.Error))
		case p.HTTP != nil:
			t.URLs = append(t.URLs, url(p.HTTP, t.guest.Address(p.HTTP.Port)))
		}
	}
	if len(silent) == 0 {
		return nil
	}
	err := fault.Failedf("%d of %d probes were not answered: %s", len(silent), len(names), strings.Join(silent, "; ")).
		WithHint("add --console to see what it writes")
	select {
	case <-t.guest.Ended():
		return t.guest.Explain(err)
	default:
		return err
	}
}

// answer asks one probe until it is answered or ctx ends. The error is that of
// the last try that came to an end.
func (t *Trial) answer(ctx context.Context, p baseline.Probe) error {
	var last error
	err := launch.Until(ctx, t.guest.Ended(), func() error {
		ctx, cancel := context.WithTimeout(ctx, tryLimit)
		defer cancel()
		err := t.try(ctx, p)
		if ctx.Err() == nil || last == nil {
			last = err
		}
		return err
	})
	if err != nil && last != nil && ctx.Err() != nil {
		return last
	}
	return err
}

// tryLimit is how long one try may take.
const tryLimit = 30 * time.Second

func (t *Trial) try(ctx context.Context, p baseline.Probe) error {
	switch {
	case p.HTTP != nil:
		return t.get(ctx, p.HTTP)
	case p.TCP != nil:
		return t.guest.Listens(ctx, p.TCP.Port)
	case p.Unit != "":
		return t.guest.Run(ctx, []string{"systemctl", "is-active", "--quiet", "--", p.Unit})
	}
	return t.guest.Run(ctx, p.Command)
}

// bodyLimit is how much of an answer is looked at, in bytes.
const bodyLimit = 1 << 20

func (t *Trial) get(ctx context.Context, h *baseline.HTTPProbe) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url(h, t.guest.Address(h.Port)), nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return t.guest.Dial(ctx, h.Port) },
	}
	if h.TLS != nil {
		transport.TLSClientConfig = tlsConfig(h.TLS, time.Now())
		if h.TLS.Name != "" {
			req.Host = h.TLS.Name
		}
	}
	client := http.Client{
		Transport: transport,
		// A redirection is an answer of its own, and may lead off this machine.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	want := h.Status
	if want == 0 {
		want = http.StatusOK
	}
	if resp.StatusCode != want {
		return fmt.Errorf("the answer is %s, not %d", resp.Status, want)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
	if err == nil && !bytes.Contains(body, []byte(h.Contains)) {
		err = fmt.Errorf("the answer does not contain %q", h.Contains)
	}
	return err
}
