package catalog_test

import (
	"context"
	"fmt"
	"testing"

	"imgbuild/images/catalog"
	"imgbuild/images/catalog/registrytest"
)

// everywhere runs a test on a directory and on a registry.
func everywhere(t *testing.T, test func(*testing.T, catalog.Config)) {
	t.Run("directory", func(t *testing.T) { test(t, catalog.Config{Location: t.TempDir()}) })
	t.Run("registry", func(t *testing.T) {
		test(t, catalog.Config{Location: "docker://" + registrytest.Start(t, "") + "/team/images", Locks: t.TempDir()})
	})
}

func TestRegistryListsBaselines(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg catalog.Config) {
		c := open(t, cfg)
		mustBake(t, c, "web", "one", nil)
		mustBake(t, c, "db", "one", nil)
		got, err := c.Baselines(context.Background())
		if err != nil || fmt.Sprint(got) != "[db web]" {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
