package inventory

import (
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// alternativesDir has a file for each alternative, of which the first line is
// "auto" or "manual" (update-alternatives(1), "FILES").
const alternativesDir = "/var/lib/dpkg/alternatives"

func chosen(r system.Reader) ([]string, error) {
	names, err := regular(r, alternativesDir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, name := range names {
		text, _, err := system.ReadText(r, path.Join(alternativesDir, name), maxCrontab)
		if err != nil {
			return nil, err
		}
		if status, _, _ := strings.Cut(text, "\n"); status == "manual" {
			list = append(list, name)
		}
	}
	return list, nil
}

// apacheDir is where a2enmod(8) and its like keep account of what maintainer
// scripts enabled, not the administrator: an empty file of each name.
const apacheDir = "/var/lib/apache2"

func made(r system.Reader) ([]string, error) {
	var list []string
	for kind, to := range map[string][]string{"conf": {"conf-enabled", ".conf"}, "module": {"mods-enabled", ".conf", ".load"}, "site": {"sites-enabled", ".conf"}} {
		names, err := regular(r, path.Join(apacheDir, kind, "enabled_by_maint"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			for _, ending := range to[1:] {
				list = append(list, path.Join("etc/apache2", to[0], name+ending))
			}
		}
	}
	slices.Sort(list)
	return list, nil
}
