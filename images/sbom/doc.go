// Package sbom lists the packages of an image, where they came from, under
// what licences and how they depend on one another, as CycloneDX 1.6 and as
// SPDX 2.3. What it writes depends on the image's content alone. It never
// looks anything up beyond the package database, the copyright files and the
// lock that it is given.
package sbom
