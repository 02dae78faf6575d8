// Package project finds a user's project and reads its settings: where things
// are kept, where Debian comes from, which keys sign and whose signatures
// count. It makes new projects and their keys. It never resolves, bakes or
// signs anything.
package project
