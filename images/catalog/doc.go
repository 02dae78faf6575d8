// Package catalog holds the versions of all images with their evidence,
// channels, ancestry and revocations. The catalog is an OCI store: a
// directory with one OCI image layout a baseline, or a registry with one
// repository a baseline; the same code works on both. A version is visible
// whole or not at all. The package never makes an image, never judges one
// beyond digests, signatures and records, and never writes a version into an
// image's bytes: versions are tags and annotations.
package catalog
