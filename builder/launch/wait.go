package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// pause is the time between two tries to reach a guest.
const pause = 250 * time.Millisecond

// WaitHTTP asks url until it answers with status, and returns the body's first
// MiB. It ends with an error when ctx does, or when ended is closed; the error
// says what the last try met.
func WaitHTTP(ctx context.Context, ended <-chan struct{}, url string, status int) ([]byte, error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var body []byte
	err := Until(ctx, ended, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != status {
			return fmt.Errorf("the answer is %s", resp.Status)
		}
		body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for %s: %w", url, err)
	}
	return body, nil
}

// Until tries until try succeeds. It ends with an error when ctx does, or when
// ended is closed; the error says what the last try met.
func Until(ctx context.Context, ended <-chan struct{}, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-ended:
			return errors.Join(errors.New("it has ended"), err)
		case <-time.After(pause):
		}
	}
}
