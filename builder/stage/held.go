package stage

import (
	"context"
	"os"

	"imgbuild/images/hold"
)

// openHeld opens a stage's directory and holds it. It waits for whoever holds it
// alone, who only renames it, and not for those that read it.
func openHeld(path string, kind hold.Kind) (*os.File, error) {
	f, err := hold.OpenDir(path)
	if err != nil {
		return nil, err
	}
	if kind == hold.Shared {
		err = hold.Wait(context.Background(), f, kind)
	} else {
		err = hold.Try(f, kind)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
