package project

import (
	"fmt"
	"os"
	"path/filepath"
)

// xdg holds imgbuild's own folders below the four directories of the XDG Base
// Directory Specification 0.8.
type xdg struct{ config, data, state, cache string }

func directories() (xdg, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return xdg{}, fmt.Errorf("finding the user's directories: %w", err)
	}
	in := func(variable, fallback string) string {
		// The specification has relative paths ignored.
		if dir := os.Getenv(variable); filepath.IsAbs(dir) {
			return filepath.Join(dir, "imgbuild")
		}
		return filepath.Join(home, fallback, "imgbuild")
	}
	return xdg{
		config: in("XDG_CONFIG_HOME", ".config"),
		data:   in("XDG_DATA_HOME", ".local/share"),
		state:  in("XDG_STATE_HOME", ".local/state"),
		cache:  in("XDG_CACHE_HOME", ".cache"),
	}, nil
}
