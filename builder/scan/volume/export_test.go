package volume

import "io"

// NewCache is newCache, for the tests.
func NewCache(source io.ReaderAt, size, cluster int64, bytes int) io.ReaderAt {
	return newCache(source, size, cluster, bytes)
}

// ParseFstab counts what parseFstab finds, for the tests.
func ParseFstab(text string) (int, error) {
	entries, err := parseFstab(text)
	return len(entries), err
}
