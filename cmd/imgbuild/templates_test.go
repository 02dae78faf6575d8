package main

import (
	"bytes"
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
	if calls["github"] != 4 || calls["gitlab"] != 3 || calls["systemd"] != 1 {
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
