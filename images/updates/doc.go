// Package updates is the archive of approved updates: a content-addressed
// store of every package file ever locked, and the locks that name them. It
// never resolves, never downloads and never unpacks.
package updates
