package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"imgbuild/provisioners/agent"
)

// TestImports keeps out what a small program that runs as root on servers may
// not bring there.
func TestImports(t *testing.T) {
	never := regexp.MustCompile(`^(imgbuild/(builder|ci|images/catalog|images/signing)(/|$)|net/http|net/rpc|os/exec|plugin|crypto/tls|golang\.org/x/crypto/ssh|github\.com/(aws|Azure|vmware|hashicorp)/|cloud\.google\.com/|google\.golang\.org/)`)
	for _, system := range []string{"linux", "windows"} {
		list := exec.Command("go", "list", "-deps", ".")
		list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system)
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range strings.Fields(string(out)) {
			if never.MatchString(path) {
				t.Errorf("for %s it imports %s", system, path)
			}
		}
	}
}

// TestSize builds the program as it is given out.
func TestSize(t *testing.T) {
	const limit = 15 << 20
	for _, target := range [][2]string{{"linux", "amd64"}, {"linux", "arm64"}, {"windows", "amd64"}} {
		name := filepath.Join(t.TempDir(), "guest")
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+target[0], "GOARCH="+target[1])
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", target, err, out)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > limit {
			t.Errorf("%v: %d bytes, want at most %d", target, info.Size(), limit)
		}
	}
}

const question = `{"format":1,"controls":["motd"],"rules":[{"Pattern":"var/**","Class":"variable"}],"sources":[{"name":"c","files":[{"path":"c.yaml","content":"bW90ZDoge3RpdGxlOiB0LCBzZXZlcml0eTogbG93LCByYXRpb25hbGU6IHIsIHJlc291cmNlczoge2ZpbGVzOiB7L2V0Yy9tb3RkOiB7Y29udGVudDogaGksIG1vZGU6ICIwNjQ0In19fX0K"}]}]}`

func ask1(t *testing.T, args ...string) (int, agent.Answer, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(question), &out, &errs)
	var a agent.Answer
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &a); err != nil {
			t.Fatalf("%v: %v in %q", args, err, out.String())
		}
	}
	return code, a, errs.String()
}

func TestCommands(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	motd := filepath.Join(root, "etc", "motd")
	if code, a, _ := ask1(t, "check", "--root", root); code != 0 || len(a.Findings) != 1 || a.Findings[0].Result != "fail" {
		t.Errorf("check: %d %+v", code, a)
	}
	if code, a, _ := ask1(t, "apply", "--root", root); code != 2 || !strings.Contains(a.Error, "add --yes") {
		t.Errorf("apply without --yes: %d %+v", code, a)
	}
	if _, err := os.Stat(motd); err == nil {
		t.Fatal("something was written without --yes")
	}
	if os.Getuid() == 0 { // files are root's
		if code, a, _ := ask1(t, "--root", root, "apply", "--yes"); code != 0 || len(a.Changed) != 1 {
			t.Errorf("apply: %d %+v", code, a)
		}
		if code, a, _ := ask1(t, "check", "--root", root); code != 0 || a.Findings[0].Result != "pass" {
			t.Errorf("check after apply: %d %+v", code, a)
		}
		if code, a, _ := ask1(t, "manifest", "--root", root); code != 0 || !strings.Contains(a.Manifest, "./etc/motd type=file") {
			t.Errorf("manifest: %d %+v", code, a)
		}
	}
	var out bytes.Buffer
	if code := run(context.Background(), []string{"check", "--root", root}, strings.NewReader("\xff\xfe{"), &out, io.Discard); code != 2 || !strings.Contains(out.String(), "one JSON document in UTF-8") {
		t.Errorf("a question that is none: %d %s", code, out.String())
	}
	for _, args := range [][]string{nil, {"destroy"}, {"check", "twice"}, {"--shell", "check"}} {
		if code, _, errs := ask1(t, args...); code != 2 || !strings.Contains(errs, "usage:") {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	if code, a, _ := ask1(t, "check", "--root", filepath.Join(root, "none")); code != 1 || !strings.Contains(a.Error, "no such file") {
		t.Errorf("a root that is not there: %d %+v", code, a)
	}
}
