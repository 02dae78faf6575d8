package ext4_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"testing"

	"imgbuild/builder/scan/ext4"
)

// try reads everything of an image.
func try(data []byte) (lines, contents map[string]string, err error) {
	v, err := ext4.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, nil, err
	}
	return walkFS(v)
}

// TestNoDamageGoesUnnoticed changes bytes of the metadata, one at a time. With
// checksums whatever is then read without an error is what was there before;
// without, it ends in any case.
func TestNoDamageGoesUnnoticed(t *testing.T) {
	const trials = 3000
	for name := range images {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := image(t, name)
			lines, contents, err := try(data)
			must(t, err)
			var places []int
			for block := 0; block < len(data); block += 1024 {
				if b := data[block : block+1024]; !bytes.HasPrefix(b, []byte(content)) && len(bytes.Trim(b, "\x00")) > 0 {
					for k := range b {
						places = append(places, block+k)
					}
				}
			}
			random := rand.New(rand.NewPCG(1, 2))
			random.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
			refused := 0
			for _, at := range places[:min(trials, len(places))] {
				change := byte(1 + random.IntN(255))
				data[at] ^= change
				gotLines, gotContents, err := try(data)
				if err != nil {
					refused++
				} else if name != "map" && (!maps.Equal(lines, gotLines) || !maps.Equal(contents, gotContents)) {
					t.Errorf("byte %#x changed by %#x goes unnoticed and shows", at, change)
				}
				data[at] ^= change
			}
			t.Logf("%d of %d changes were refused", refused, min(trials, len(places)))
			if refused < 100 {
				t.Errorf("only %d changes were refused", refused)
			}
		})
	}
}

// TestCutImages holds that no image is read that is shorter than it says.
func TestCutImages(t *testing.T) {
	data := image(t, "checksums")
	for size := 0; size < len(data); size += 4096 {
		if _, err := ext4.Open(bytes.NewReader(data[:size]), int64(size)); err == nil {
			t.Errorf("cut to %d bytes, it is opened", size)
		}
		// A device that ends before it should is an error where it is read.
		v, err := ext4.Open(bytes.NewReader(data[:size]), int64(len(data)))
		if err == nil {
			_, _, err = walkFS(v)
		}
		if err == nil && size < 64<<10 {
			t.Errorf("with %d bytes of it, all is read", size)
		}
	}
}

// FuzzRead reads a file system that was changed in two places, checksums or
// not: it ends, with an error or without.
func FuzzRead(f *testing.F) {
	bases := map[byte][]byte{0: image(f, "map"), 1: image(f, "checksums"), 2: image(f, "inline")}
	f.Add(byte(0), uint32(1024), []byte{0xff}, uint32(1024+0x58), []byte{0, 1})
	f.Fuzz(func(t *testing.T, base byte, at uint32, first []byte, then uint32, second []byte) {
		data := bytes.Clone(bases[base%3])
		copy(data[int(at)%len(data):], first)
		copy(data[int(then)%len(data):], second)
		// Without its feature nothing is held against checksums, and more is reached.
		if base >= 128 {
			data[1024+0x65] &^= 4
		}
		v, err := ext4.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		_, _, _ = walkFS(v)
	})
}
