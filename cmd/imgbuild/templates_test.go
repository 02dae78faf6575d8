package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// commandForm finds a command line of imgbuild in a template, without what a shell does
// with its output.
var commandForm = regexp.MustCompile(`(?m)^[\s-]*(?:run: |ExecStart=/usr/bin/)?(imgbuild [a-z][^>|&\n]*)`)

// TestTemplatesCallWhatThereIs holds each command line of the templates for pipelines
// against the commands and flags of this program.
func TestTemplatesCallWhatThereIs(t *testing.T) {
	calls := map[string]int{}
	files, err := filepath.Glob("../../ci/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		kind := filepath.Base(filepath.Dir(file))
		if kind != "github" && kind != "gitlab" && kind != "systemd" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range commandForm.FindAllStringSubmatch(string(text), -1) {
			calls[kind]++
			words := strings.Fields(strings.ReplaceAll(found[1], `"`, ""))
			root := newRootCommand(newEnvironment("imgbuild", os.Stdin, os.Stdout, os.Stderr))
			cmd, rest, err := root.Find(words[1:])
			if err != nil || !cmd.Runnable() {
				t.Errorf("%s: %s: %v", file, found[1], err)
				continue
			}
			if err := cmd.ParseFlags(rest); err != nil {
				t.Errorf("%s: %s: %v", file, found[1], err)
			}
			if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
				t.Errorf("%s: %s: %v", file, found[1], err)
			}
		}
	}
	if calls["github"] != 4 || calls["gitlab"] != 4 || calls["systemd"] != 1 {
		t.Errorf("found %v calls", calls)
	}
}

// gitlabJob is what the template uses of a job of GitLab's (its CI/CD YAML syntax
// reference); a key that is misspelt is none of these.
type gitlabJob struct {
	Stage         string   `yaml:"stage"`
	Tags          []string `yaml:"tags"`
	Timeout       string   `yaml:"timeout"`
	ResourceGroup string   `yaml:"resource_group"`
	Rules         []struct {
		If      string   `yaml:"if"`
		Changes []string `yaml:"changes"`
	} `yaml:"rules"`
	Script       []string `yaml:"script"`
	AllowFailure struct {
		ExitCodes []int `yaml:"exit_codes"`
	} `yaml:"allow_failure"`
	Artifacts struct {
		When    string   `yaml:"when"`
		Paths   []string `yaml:"paths"`
		Reports struct {
			JUnit string `yaml:"junit"`
		} `yaml:"reports"`
	} `yaml:"artifacts"`
}

// TestTheTemplateForGitLab reads it strictly, and has a shell look at its scripts.
func TestTheTemplateForGitLab(t *testing.T) {
	text, err := os.ReadFile("../../ci/gitlab/advisories.yml")
	if err != nil {
		t.Fatal(err)
	}
	var pipeline struct {
		Stages    []string          `yaml:"stages"`
		Variables map[string]string `yaml:"variables"`
		Rebuild   gitlabJob         `yaml:"rebuild"`
		Bake      gitlabJob         `yaml:"bake"`
	}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&pipeline); err != nil {
		t.Fatal(err)
	}
	for _, job := range []gitlabJob{pipeline.Rebuild, pipeline.Bake} {
		if len(job.Script) == 0 || len(job.Rules) == 0 || job.ResourceGroup == "" {
			t.Errorf("got %+v", job)
		}
		check := exec.Command("sh", "-n")
		check.Stdin = strings.NewReader(strings.Join(job.Script, "\n"))
		if said, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, said)
		}
	}
}

// gitlabScript is the script of a job, as GitLab's runner has a shell do it.
func gitlabScript(t *testing.T, job string) string {
	t.Helper()
	text, err := os.ReadFile("../../ci/gitlab/advisories.yml")
	if err != nil {
		t.Fatal(err)
	}
	var jobs map[string]any
	if err := yaml.Unmarshal(text, &jobs); err != nil {
		t.Fatal(err)
	}
	script := "set -eo pipefail\n"
	for _, line := range jobs[job].(map[string]any)["script"].([]any) {
		script += line.(string) + "\n"
	}
	return script
}

// inShell has a shell do a script in a directory, in which the program is another script.
func inShell(t *testing.T, dir, script, program string) error {
	t.Helper()
	bin := t.TempDir()
	for name, text := range map[string]string{"imgbuild": program, "curl": "exit 0"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=/dev/null",
		"CI_DEFAULT_BRANCH=main", "PUSH_TOKEN=x", "CI_SERVER_HOST=h", "CI_PROJECT_PATH=p",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url."+dir+"/../origin.insteadOf", "GIT_CONFIG_VALUE_0=https://imgbuild:x@h/p.git")
	said, err := cmd.CombinedOutput()
	t.Logf("%s", said)
	return err
}

// TestTheMergeRequestIsGoneOnFrom runs the script for GitLab again before anybody has
// merged: nothing is locked a second time, and the branch is not written again; it is when
// there is something else.
func TestTheMergeRequestIsGoneOnFrom(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("it runs git, which make host-test installs")
	}
	dir := t.TempDir() + "/clone"
	const setup = `git init -q --bare -b main ../origin && git -C ../origin config receive.advertisePushOptions true
git init -q -b main && git config user.name x && git config user.email x@localhost && git remote add origin ../origin
mkdir locks && echo 1 > locks/shop.lock && echo 1 > locks/other.lock && git add . && git commit -qm 1 && git push -q origin main`
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := inShell(t, dir, setup, ""); err != nil {
		t.Fatal(err)
	}
	for _, run := range []struct{ program, locked, branch string }{
		{program: `grep -q 2 locks/shop.lock || { echo 2 > locks/shop.lock; echo shop >> ../locked; }`, locked: "shop", branch: "2"},
		{program: `grep -q 2 locks/shop.lock || { echo 2 > locks/shop.lock; echo shop >> ../locked; }`, locked: "shop", branch: "2"},
		{program: `echo 3 > locks/other.lock; echo other >> ../locked`, locked: "shop other", branch: "2"},
	} {
		before, _ := os.ReadFile(filepath.Join(dir, "../origin/refs/heads/imgbuild/advisories"))
		if err := inShell(t, dir, "git checkout -q --force --detach main\n"+gitlabScript(t, "rebuild"), run.program); err != nil {
			t.Fatal(err)
		}
		after, _ := os.ReadFile(filepath.Join(dir, "../origin/refs/heads/imgbuild/advisories"))
		locked, _ := os.ReadFile(filepath.Join(dir, "../locked"))
		if got := strings.Join(strings.Fields(string(locked)), " "); got != run.locked || bytes.Equal(before, after) != (len(before) > 0 && got == "shop") {
			t.Errorf("locked %s, the branch went from %s to %s", got, before, after)
		}
		show := exec.Command("git", "--git-dir", "../origin", "show", "imgbuild/advisories:locks/shop.lock")
		show.Dir = dir
		if said, err := show.Output(); err != nil || strings.TrimSpace(string(said)) != run.branch {
			t.Errorf("the branch has %s, %v", said, err)
		}
	}
}

// TestABakeThatIsRefusedKeepsNoOtherBack runs the script for GitLab on four locks, of which
// the first one's baseline extends another.
func TestABakeThatIsRefusedKeepsNoOtherBack(t *testing.T) {
	dir := t.TempDir() + "/clone"
	locks := `mkdir -p locks baselines
printf 'extends: b\n' > baselines/0.yaml
printf 'baseline: 0\narchitecture: amd64\n' > locks/0.lock
printf 'baseline: a\narchitecture: amd64\n' > locks/a.lock
printf 'baseline: b\narchitecture: amd64\n' > locks/b.lock
printf 'baseline: b\narchitecture: arm64\n' > locks/b.arm64.lock
`
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := inShell(t, dir, locks+gitlabScript(t, "bake"), `echo "$1 $2 $3 $4 $6" >> ../done; [ "$1 $2" != "bake a" ] || exit 3`)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("it ends with %v", err)
	}
	const want = "bake a --arch amd64 candidate\nbake b --arch arm64 candidate-arm64\nscan b:candidate-arm64 --junit scans/b.arm64.xml scans/b.arm64.sarif\n" +
		"bake b --arch amd64 candidate\nscan b:candidate --junit scans/b.amd64.xml scans/b.amd64.sarif\n" +
		"bake 0 --arch amd64 candidate\nscan 0:candidate --junit scans/0.amd64.xml scans/0.amd64.sarif\n"
	if got, err := os.ReadFile(filepath.Join(dir, "../done")); err != nil || string(got) != want {
		t.Errorf("it did %q, %v", got, err)
	}
}

// TestTheTimer has systemd look at the units, with a program that is there.
func TestTheTimer(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze")
	}
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"imgbuild-advisories.service", "imgbuild-advisories.timer"} {
		text, err := os.ReadFile("../../ci/systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, filepath.Join(dir, name))
		text = bytes.ReplaceAll(text, []byte("/usr/bin/imgbuild"), []byte("/bin/true"))
		if err := os.WriteFile(units[len(units)-1], text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	said, err := exec.Command("systemd-analyze", append([]string{"verify"}, units...)...).CombinedOutput()
	if err != nil || strings.Contains(string(said), dir) {
		t.Errorf("%v: %s", err, said)
	}
}
