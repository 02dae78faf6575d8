// Package repo reads signed Debian repositories: it verifies a suite's
// InRelease file, fetches the indexes that it vouches for and keeps them in a
// cache by digest, so that an unchanged index is neither fetched nor
// decompressed twice. It never resolves and never downloads a package.
package repo
