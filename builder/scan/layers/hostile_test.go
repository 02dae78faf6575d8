package layers_test

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/builder/scan/layers"
	"imgbuild/images/fault"
)

// TestHostileLayersAreRefused applies a last layer, after sound ones, that no
// image may have. The error names the layer and the entry.
func TestHostileLayersAreRefused(t *testing.T) {
	sound := []item{dir("d", 0o755), file("d/f", "f", 0o644), file("f", "f", 0o644), symlink("dangling", "nothing"), symlink("loop", "loop"),
		symlink("up", "../../.."), symlink("tod", "d")}
	long := strings.Repeat("x", 256)
	deep := strings.Repeat("d/", 2047) + "f"
	for what, c := range map[string]struct {
		items []item
		entry string // the last one if empty
		want  string
	}{
		"upwards":             {items: []item{file("../f", "", 0o644)}, want: "leads upwards"},
		"upwards within":      {items: []item{file("d/../f", "", 0o644)}, want: "leads upwards"},
		"upwards at the end":  {items: []item{dir("d/..", 0o755)}, want: "leads upwards"},
		"absolute upwards":    {items: []item{file("/../f", "", 0o644)}, want: "leads upwards"},
		"link upwards":        {items: []item{hardlink("l", "../../etc/passwd", 0o644)}, want: "leads upwards"},
		"link to nothing":     {items: []item{hardlink("l", "nothing", 0o644)}, want: "not exist"},
		"link to a directory": {items: []item{hardlink("l", "d", 0o644)}, want: "directory"},
		"link to itself":      {items: []item{hardlink("f", "f", 0o644)}, want: "not exist"},
		"link to what goes":   {items: []item{file(".wh.f", "", 0), hardlink("l", "f", 0o644)}, want: "not exist"},
		"link without target": {items: []item{hardlink("l", "", 0o644)}, want: "no name"},
		"link as the root":    {items: []item{hardlink(".", "f", 0o644)}, want: "the root"},
		"file as the root":    {items: []item{file(".", "", 0o644)}, want: "the root"},
		"file as parent":      {items: []item{file("f/x", "", 0o644)}, want: "no directory"},
		"file further up":     {items: []item{file("f/x/y", "", 0o644)}, want: "not a directory"},
		"nothing as parent":   {items: []item{file("dangling/x", "", 0o644)}, want: "not there"},
		"loop as parent":      {items: []item{file("loop/x", "", 0o644)}, want: "too many"},
		"twice":               {items: []item{file("new", "1", 0o644), file("new", "2", 0o644)}, want: "twice"},
		"twice by a link":     {items: []item{file("d/new", "1", 0o644), file("tod/new", "2", 0o644)}, want: "twice"},
		"twice, as a link":    {items: []item{file("new", "1", 0o644), hardlink("new", "f", 0o644)}, want: "twice"},
		"file over directory": {items: []item{file("new/f", "1", 0o644), symlink("new", "d")}, want: "twice"},
		"file over changed":   {items: []item{file("d/new", "1", 0o644), file("d", "", 0o644)}, want: "twice"},
		"directory over file": {items: []item{file("new", "1", 0o644), dir("new", 0o755)}, want: "twice", entry: "new/"},
		"whiteout of nothing": {items: []item{file("d/.wh.", "", 0)}, want: "whiteout of nothing"},
		"whiteout of itself":  {items: []item{file("d/.wh..", "", 0)}, want: "whiteout of nothing"},
		"whiteout upwards":    {items: []item{file("d/.wh...", "", 0)}, want: "whiteout of nothing"},
		"below a whiteout":    {items: []item{file(".wh.d/x", "", 0)}, want: "below the name of a whiteout"},
		"whiteout in a loop":  {items: []item{file("loop/.wh.x", "", 0)}, want: "too many"},
		"long part":           {items: []item{file(long, "", 0o644)}, want: "more than 255"},
		"long name":           {items: []item{file("./"+deep, "", 0o644)}, want: "more than 4095"},
		"long by a link":      {items: []item{dir(deep[:2040], 0o755), symlink("l", deep[:2040]), dir("l/"+deep[:2100], 0o755)}, want: "real name", entry: "l/" + deep[:2100] + "/"},
		"device 0:0":          {items: []item{node(tar.TypeChar, "dev", 0, 0)}, want: "0:0"},
		"device too large":    {items: []item{node(tar.TypeBlock, "dev", 4096, 0)}, want: "4096:0"},
		"unknown type":        {items: []item{{Header: tar.Header{Typeflag: 'V', Name: "volume"}}}, want: "type"},
		"owner nobody has":    {items: []item{file("f2", "", 0o644).owned(1<<32-1, 0)}, want: "owner"},
		"negative owner":      {items: []item{file("f2", "", 0o644).owned(0, -5).gnu()}, want: "owner"},
		"link of no bytes":    {items: []item{symlink("l", "")}, want: "symbolic link of 0"},
		"link of many bytes":  {items: []item{symlink("l", strings.Repeat("a/", 2048))}, want: "symbolic link of 4096"},
		"large attribute":     {items: []item{file("f2", "", 0o644).xattr("user.x", strings.Repeat("x", 65537))}, want: "attribute"},
		"attribute's name":    {items: []item{file("f2", "", 0o644).xattr("user."+long, "x")}, want: "attribute"},
	} {
		t.Run(what, func(t *testing.T) {
			l := newLayout(t)
			bad := pack(t, c.items...)
			l.index(l.image("amd64", ocispec.MediaTypeImageLayer, [][]byte{pack(t, sound...), bad, pack(t)}))
			_, err := open(t, "oci:"+l.dir, layers.Options{})
			entry := c.entry
			if entry == "" {
				entry = c.items[len(c.items)-1].Name
			}
			if fault.KindOf(err) != fault.World {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{digest.FromBytes(bad).String(), entry[:min(len(entry), 300)], c.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q says nothing of %q", err, want)
				}
			}
		})
	}
}

// TestLinksStayInTheRoot has what is harmless, for the root is all there is.
func TestLinksStayInTheRoot(t *testing.T) {
	l := newLayout(t)
	l.index(l.image("amd64", ocispec.MediaTypeImageLayer, [][]byte{
		pack(t, dir("etc", 0o755), symlink("up", "../../../etc"), symlink("etc/abs", "/etc"), symlink("passwd", "/../../etc/passwd")),
		pack(t, file("up/passwd", "inside", 0o644), hardlink("etc/abs/again", "/up/passwd", 0o644), file("//etc//./double", "x", 0o644)),
	}))
	img := opened(t, "oci:"+l.dir)
	for _, name := range []string{"/etc/passwd", "/passwd", "/up/again", "/etc/abs/abs/passwd"} {
		if got := read(t, img, name); got != "inside" {
			t.Errorf("%s holds %q", name, got)
		}
	}
	names, err := img.ReadDir("/up")
	if err != nil || strings.Join(names, " ") != "abs again double passwd" {
		t.Errorf("got %v, %v", names, err)
	}
}

// TestDirectoriesThatNoLayerHas are made as most consumers make them.
func TestDirectoriesThatNoLayerHas(t *testing.T) {
	l := newLayout(t)
	l.index(l.image("amd64", ocispec.MediaTypeImageLayer, [][]byte{pack(t, file("a/b/f", "f", 0o600).owned(7, 7), dir("a", 0o700).owned(8, 8))}))
	img := opened(t, "oci:"+l.dir)
	for name, want := range map[string]string{"/": "drwxr-xr-x 0", "/a": "drwx------ 8", "/a/b": "drwxr-xr-x 0", "/a/b/f": "-rw------- 7"} {
		info, err := img.Lstat(name)
		if got := info.Mode.String() + " " + string(rune('0'+info.UID)); err != nil || got != want {
			t.Errorf("%s is %s, should be %s; %v", name, got, want, err)
		}
	}
}

func TestLimits(t *testing.T) {
	many := [][]byte{pack(t, file("a", "", 0o644), file("b", "", 0o644)), pack(t, file("c", "", 0o644), file("d", "", 0o644))}
	zeroes := [][]byte{pack(t, file("zeroes", strings.Repeat("\x00", 4<<20), 0o644))}
	trailing := [][]byte{append(pack(t), make([]byte, 4<<20)...)}
	named := [][]byte{pack(t, symlink(strings.Repeat("n/", 1000)+"n", strings.Repeat("t", 4000)))}
	noted := [][]byte{pack(t, file("f", "", 0o644).xattr("user.x", strings.Repeat("x", 5000)))}
	for what, c := range map[string]struct {
		layers [][]byte
		limits layers.Limits
		want   string
	}{
		"entries of all layers": {many, layers.Limits{Entries: 3}, "more than 3 entries"},
		"a bomb":                {zeroes, layers.Limits{Bytes: 1 << 20}, "more than 1048576 bytes"},
		"behind the tar":        {trailing, layers.Limits{Bytes: 1 << 20}, "more than 1048576 bytes"},
		"names":                 {named, layers.Limits{Metadata: 5000}, "more than 5000 bytes"},
		"attributes":            {noted, layers.Limits{Metadata: 5000}, "more than 5000 bytes"},
	} {
		for _, mediaType := range []string{ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd} {
			l := newLayout(t)
			l.index(l.image("amd64", mediaType, c.layers))
			_, err := open(t, "oci:"+l.dir, layers.Options{Limits: c.limits})
			if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v", what, mediaType, err)
			}
			opened(t, "oci:"+l.dir)
		}
	}
}

// TestLookupsAreBounded lets every name lead through forty links of two
// thousand parts each.
func TestLookupsAreBounded(t *testing.T) {
	items := []item{dir("d", 0o755)}
	last := ""
	for i := range 38 {
		name := "l" + string(rune('A'+i))
		items = append(items, symlink(name, last+strings.Repeat("d/../", 800)))
		last = name + "/"
	}
	for i := range 20_000 {
		items = append(items, file(last+"/.wh."+strings.Repeat("x", 1+i%200), "", 0))
	}
	l := newLayout(t)
	l.index(l.image("amd64", ocispec.MediaTypeImageLayerZstd, [][]byte{pack(t, items...)}))
	_, err := open(t, "oci:"+l.dir, layers.Options{Limits: layers.Limits{Lookups: 1 << 20}})
	if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "too many links") {
		t.Errorf("got %v", err)
	}
}

// TestDamage changes each kind of blob, and what is said of it.
func TestDamage(t *testing.T) {
	flip := func(d *ocispec.Descriptor, l layout, at int) {
		raw := bytes.Clone(l.read(d.Digest))
		raw[(at+len(raw))%len(raw)] ^= 1
		l.write("blobs/sha256/"+d.Digest.Encoded(), raw)
	}
	const isNot = "not what its digest"
	for _, mediaType := range []string{ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd} {
		for what, c := range map[string]struct {
			damage func(l layout, m *ocispec.Manifest, c *ocispec.Image)
			want   string
		}{
			"first byte":     {func(l layout, m *ocispec.Manifest, _ *ocispec.Image) { flip(&m.Layers[1], l, 0) }, isNot},
			"middle byte":    {func(l layout, m *ocispec.Manifest, _ *ocispec.Image) { flip(&m.Layers[1], l, int(m.Layers[1].Size/2)) }, isNot},
			"last byte":      {func(l layout, m *ocispec.Manifest, _ *ocispec.Image) { flip(&m.Layers[1], l, -1) }, isNot},
			"size too small": {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[1].Size-- }, isNot},
			"size too large": {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[1].Size++ }, isNot},
			"negative size":  {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[1].Size = -1 }, isNot},
			"bytes behind": {func(l layout, m *ocispec.Manifest, _ *ocispec.Image) {
				l.write("blobs/sha256/"+m.Layers[1].Digest.Encoded(), append(l.read(m.Layers[1].Digest), 'x'))
			}, isNot},
			"cut off": {func(l layout, m *ocispec.Manifest, _ *ocispec.Image) {
				m.Layers[1] = l.blob(mediaType, l.read(m.Layers[1].Digest)[:m.Layers[1].Size/2])
			}, "damaged"},
			"other layer":   {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[1] = m.Layers[0] }, "diff id"},
			"other diff id": {func(_ layout, _ *ocispec.Manifest, c *ocispec.Image) { c.RootFS.DiffIDs[1] = c.RootFS.DiffIDs[0] }, "diff id"},
			"no diff id":    {func(_ layout, _ *ocispec.Manifest, c *ocispec.Image) { c.RootFS.DiffIDs[1] = "" }, "diff id"},
			"no digest": {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) {
				m.Layers[1].Digest = "sha256:../../../oci-layout"
			}, "digest"},
			"layer missing": {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[1].Digest = digest.FromString("x") }, "not there"},
			"layer unnamed": {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) { m.Layers = m.Layers[:2] }, "2 layers, and its configuration 3"},
			"other type":    {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[1].MediaType = "application/x-tar" }, "application/x-tar"},
			"not compressed so": {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) {
				m.Layers[1].MediaType = map[bool]string{true: ocispec.MediaTypeImageLayerGzip, false: ocispec.MediaTypeImageLayerZstd}[mediaType == ocispec.MediaTypeImageLayerZstd]
			}, "damaged"},
			"configuration": {func(l layout, m *ocispec.Manifest, c *ocispec.Image) {
				m.Config = l.json(ocispec.MediaTypeImageConfig, c)
				flip(&m.Config, l, 10)
			}, isNot},
			"configuration too large": {func(_ layout, m *ocispec.Manifest, _ *ocispec.Image) {
				m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("x"), Size: 4<<20 + 1}
			}, "the limit is"},
			"no configuration": {func(l layout, m *ocispec.Manifest, _ *ocispec.Image) {
				m.Config = l.blob(ocispec.MediaTypeImageConfig, []byte("{"))
			}, "configuration"},
			"other platform": {func(_ layout, _ *ocispec.Manifest, c *ocispec.Image) { c.Variant = "v1" }, ""},
		} {
			l := newLayout(t)
			l.index(l.image("amd64", mediaType, house(t)[:3], func(m *ocispec.Manifest, i *ocispec.Image) { c.damage(l, m, i) }))
			img, err := open(t, "oci:"+l.dir, layers.Options{})
			if c.want == "" && err == nil {
				if err := img.Close(); err != nil {
					t.Error(err)
				}
				continue
			}
			if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s of %s: %v", what, mediaType, err)
			}
		}
	}
}
