package trial

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/fault"
)

// maxDocument is the largest JSON document of a layout that is read, in bytes.
const maxDocument = 4 << 20

// tcpPorts returns the TCP ports that the only image of an OCI layout exposes,
// in order.
func tcpPorts(layout string) ([]int, error) {
	var index ocispec.Index
	if err := readJSON(filepath.Join(layout, ocispec.ImageIndexFile), &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) != 1 {
		return nil, fault.Worldf("the exported container has %d manifests", len(index.Manifests))
	}
	var manifest ocispec.Manifest
	if err := readJSON(blob(layout, index.Manifests[0].Digest), &manifest); err != nil {
		return nil, err
	}
	var image ocispec.Image
	if err := readJSON(blob(layout, manifest.Config.Digest), &image); err != nil {
		return nil, err
	}
	var ports []int
	for _, exposed := range slices.Sorted(maps.Keys(image.Config.ExposedPorts)) {
		number, protocol, _ := strings.Cut(exposed, "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return nil, fault.Worldf("the container exposes %q, which is no port", exposed)
		}
		if protocol == "" || protocol == "tcp" {
			ports = append(ports, int(port))
		}
	}
	slices.Sort(ports)
	return ports, nil
}

func blob(layout string, d digest.Digest) string {
	return filepath.Join(layout, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func readJSON(path string, into any) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxDocument {
		return fault.Worldf("reading the exported container: a document of %d bytes", info.Size())
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("reading the exported container: %w", err)
	}
	return nil
}
