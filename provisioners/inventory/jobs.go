package inventory

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// Job is one that cron(8) starts. Timers are units.
type Job struct {
	// File is where it is written, relative to the root.
	File string `json:"file"`
	// User runs it.
	User string `json:"user"`
	// When is as it is written, "17 * * * *" or "@reboot"; of a script in
	// /etc/cron.daily it is "daily". Empty for a line that is no job, which cron
	// passes over with the whole file.
	When string `json:"when"`
	// Program is the first word of the command.
	Program string `json:"program"`
	// SHA256 is the digest of the whole line; of a script it is empty.
	SHA256 string `json:"sha256,omitempty"`
}

// Where jobs are: crontab(5), cron(8).
const (
	crontab      = "/etc/crontab"
	cronDir      = "/etc/cron.d"
	userCrontabs = "/var/spool/cron/crontabs"
)

const (
	maxCrontab = 1 << 20
	maxWord    = 200
)

var (
	// jobName is what run-parts(8) and cron take names of files from.
	jobName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	setting = regexp.MustCompile(`^["']?[A-Za-z_][A-Za-z0-9_]*["']?\s*=`)
)

func jobs(r system.Reader) ([]Job, error) {
	var list []Job
	add := func(file, user string) error {
		text, _, err := system.ReadText(r, file, maxCrontab)
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			if j, ok := jobOf(strings.TrimSpace(line), user); ok {
				j.File = strings.TrimPrefix(file, "/")
				list = append(list, j)
			}
		}
		return nil
	}
	if err := add(crontab, ""); err != nil {
		return nil, err
	}
	for _, dir := range []string{cronDir, userCrontabs} {
		names, err := regular(r, dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			user := ""
			if dir == userCrontabs {
				user = name
			} else if !jobName.MatchString(name) {
				continue
			}
			if err := add(path.Join(dir, name), user); err != nil {
				return nil, err
			}
		}
	}
	for _, when := range []string{"hourly", "daily", "weekly", "monthly", "yearly"} {
		names, err := regular(r, "/etc/cron."+when)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			file := path.Join("/etc/cron."+when, name)
			if info, err := r.Stat(file); err == nil && info.Mode&0o111 != 0 && jobName.MatchString(name) {
				list = append(list, Job{File: file[1:], User: "root", When: when, Program: file})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Job) int { return cmp.Compare(a.File, b.File) })
	return list, nil
}

// regular are the names of regular files in a directory, and of links to some.
func regular(r system.Reader, dir string) ([]string, error) {
	names, err := system.Names(r, dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, name := range names {
		info, err := r.Stat(path.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil && info.Mode.IsRegular() {
			list = append(list, name)
		}
	}
	return list, nil
}

// jobOf reads a line; of a system's crontab, where user is "", it names the user.
func jobOf(line, user string) (Job, bool) {
	if line == "" || line[0] == '#' || setting.MatchString(line) {
		return Job{}, false
	}
	sum := sha256.Sum256([]byte(line))
	j := Job{User: user, SHA256: hex.EncodeToString(sum[:])}
	words := strings.Fields(line)
	fields := 5
	if line[0] == '@' {
		fields = 1
	}
	named := fields
	if user == "" {
		named++
	}
	if len(words) <= named {
		return j, true // no job
	}
	j.When = cut(strings.Join(words[:fields], " "))
	if user == "" {
		j.User = cut(words[fields])
	}
	command := words[named:]
	for len(command) > 1 && setting.MatchString(command[0]) {
		command = command[1:]
	}
	j.Program = cut(command[0])
	// What is set may be a secret, and what stands without a space is one word.
	if name, _, ok := strings.Cut(j.Program, "="); ok {
		j.Program = name + "="
	}
	return j, true
}

func cut(text string) string { return text[:min(len(text), maxWord)] }
