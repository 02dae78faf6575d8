// Package deb822 reads the text formats of Debian's package management:
// paragraphs of fields (deb822(5)), dependency fields (deb-control(5)) and
// version numbers (deb-version(7)). It reads bytes that strangers wrote, so
// everything has a limit. It never writes and never touches a file itself.
package deb822
