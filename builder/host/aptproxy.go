package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// AptProxy returns the proxy this host's apt uses for HTTP, such as
// "http://proxy.example:3128", and "" when it uses none or there is no apt.
func AptProxy(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "--format", "%v%n", "Acquire::http::Proxy").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("asking apt-config for its proxy: %w", err)
	}
	// apt prints the value itself first and its per-host children after it.
	line, _, _ := bytes.Cut(out, []byte("\n"))
	proxy := strings.TrimSpace(string(line))
	if strings.EqualFold(proxy, "DIRECT") || strings.EqualFold(proxy, "false") {
		return "", nil
	}
	return proxy, nil
}
