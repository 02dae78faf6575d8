package catalog

import (
	"fmt"
	"os"
	"path/filepath"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"imgbuild/images/fault"
)

// logins finds the credentials of registries where podman and skopeo look for
// them, in their order (containers-auth.json(5)), and so in docker's
// configuration last: what one of them is logged in to, we are too. Each of
// these files may name helpers, which are asked.
func logins() (auth.CredentialFunc, error) {
	var found []credentials.Store
	for _, file := range podmanLogins() {
		store, err := credentials.NewStore(file, credentials.StoreOptions{})
		if err != nil {
			return nil, fault.Inputf("reading podman's credentials in %s", file).Because(err).
				WithHint("mend the file, or write it anew: podman login")
		}
		found = append(found, store)
	}
	docker, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fault.Inputf("reading docker's credentials").Because(err).
			WithHint("mend the file, or write it anew: docker login")
	}
	found = append(found, docker)
	return credentials.Credential(credentials.NewStoreWithFallbacks(found[0], found[1:]...)), nil
}

// podmanLogins lists where podman keeps credentials; the files may be missing.
func podmanLogins() []string {
	var files []string
	if file := os.Getenv("REGISTRY_AUTH_FILE"); file != "" {
		files = append(files, file)
	}
	runtime := fmt.Sprintf("/run/containers/%d", os.Getuid()) // for who has no session, such as root
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		runtime = filepath.Join(dir, "containers")
	}
	files = append(files, filepath.Join(runtime, "auth.json"))
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, "containers", "auth.json"))
	}
	return files
}
