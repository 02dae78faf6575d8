// Package custody answers for the archive: what must be in it, whether it is and
// is whole, what can be fetched again, and what may go. Needed is what a lock
// names, what a version of the catalog was baked from, and what a lock may still
// take. It never guesses: of what cannot be read it says so, and then nothing is
// removed.
package custody
