// Package evidence reads what is attached to an image version and checks it:
// that nothing is damaged, that trusted keys signed the version itself and
// every statement about it, and that no kind of statement is missing. It also
// compares two versions by their evidence. It never makes evidence and never
// repairs any.
package evidence
