package install

import (
	"errors"
	"path"
)

// surroundings are the files that are in the root only while scripts run.
var surroundings = map[string]string{
	// Services are not started: invoke-rc.d(8).
	policyFile: "#!/bin/sh\nexit 101\n",
	// Scripts are told that they run in a chroot. ischroot(1) itself compares
	// with the root of process 1, which in the sandbox is the same; libc6's
	// postinst would then wait for an init to restart.
	stageDir + "/ischroot": "#!/bin/sh\nexit 0\n",
}

// prepareSurroundings writes the surroundings; the returned function puts back
// what was there.
func (l *layer) prepareSurroundings() (restore func() error, err error) {
	old := map[string][]byte{}
	for name, content := range surroundings {
		if old[name], err = l.root.read(name); err != nil {
			return nil, err
		}
		if err := l.root.mkdirAll(path.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := l.root.write(name, []byte(content), 0o755); err != nil {
			return nil, err
		}
	}
	return func() error {
		var failed error
		for name, data := range old {
			if data != nil {
				failed = errors.Join(failed, l.root.write(name, data, 0o755))
			} else {
				failed = errors.Join(failed, l.root.remove(name))
			}
		}
		return errors.Join(failed, l.root.removeDir(stageDir))
	}, nil
}
