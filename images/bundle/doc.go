// Package bundle is the form in which files travel to machines without a network:
// one zip archive whose first entry is a manifest, which names every other entry
// by its digest and may be signed. The same files give the same bytes. The package
// knows no manifest's content: who makes a kind of bundle says what is in it. It
// never writes what it has not verified.
package bundle
