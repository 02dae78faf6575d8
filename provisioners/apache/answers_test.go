package apache_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"imgbuild/provisioners/system"
)

// TestAnswersChange starts httpd with a configuration before and after the
// states were applied.
func TestAnswersChange(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	sys, root := stock(t), httpd(t)
	put(t, sys, map[string]string{
		"/etc/apache2/ports.conf":                   "ServerName localhost\nListen " + address + "\nMutex file:/log default\n", // a root has no /dev/zero
		"/etc/apache2/conf-available/security.conf": "ServerTokens Full\nTraceEnable On\n",
		"/etc/apache2/sites-available/000-default.conf": "<VirtualHost *>\nDocumentRoot /srv/www\n</VirtualHost>\n<Directory /srv/www>\nOptions Indexes\nRequire all granted\n" +
			"<LimitExcept GET POST OPTIONS>\nRequire all denied\n</LimitExcept>\n</Directory>\n",
	})
	if code, server, body := ask(t, sys, root, address, "GET"); code != 200 || !strings.Contains(server, "/2.4") || !strings.Contains(body, "Index of") {
		t.Fatalf("before: %d, %q, %q", code, server, body)
	}
	if code, _, _ := ask(t, sys, root, address, "TRACE"); code != 200 {
		t.Fatalf("before: TRACE is answered %d", code)
	}
	// This is why a LimitExcept beside what grants everything is called in vain.
	if code, _, _ := ask(t, sys, root, address, "DELETE"); code == 403 {
		t.Fatal("before: DELETE is forbidden already")
	}
	settle(t, sys, []string{states[0], states[2], states[12], states[17]})
	if code, server, _ := ask(t, sys, root, address, "GET"); code != 403 || server != "Apache" {
		t.Errorf("after: %d, %q", code, server)
	}
	if code, _, _ := ask(t, sys, root, address, "TRACE"); code != 405 && code != 403 {
		t.Errorf("after: TRACE is answered %d", code)
	}
	if code, _, _ := ask(t, sys, root, address, "DELETE"); code != 403 {
		t.Errorf("after: DELETE is answered %d", code)
	}
}

// ask starts httpd, asks it once and stops it.
func ask(t *testing.T, r system.Reader, root, address, method string) (code int, server, body string) {
	t.Helper()
	export(t, r, root)
	cmd := command(root, "-X")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for try := 0; ; try++ {
		response, err := client.Do(request)
		if err != nil {
			if try > 100 {
				log, _ := os.ReadFile(root + "/log/error.log")
				t.Fatalf("apache2 does not answer: %v\n%s", err, log)
			}
			time.Sleep(50 * time.Millisecond)
			continue
		}
		data, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header.Get("Server"), string(data)
	}
}
