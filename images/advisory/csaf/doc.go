// Package csaf reads advisories and VEX documents in the Common Security
// Advisory Framework 2.0 (https://docs.oasis-open.org/csaf/csaf/v2.0/os/csaf-v2.0-os.html)
// as Red Hat publishes them: what is fixed in which version, what is affected
// and what becomes of it, what is not affected and why, what is being looked at.
// It never downloads anything, and writes none.
//
// A library for the format exists and is well kept, github.com/gocsaf/csaf. It is
// not used: its one package brings an HTTP client, a database, an expression
// language and the catalogues of a text library to programs that want some
// twenty fields, it reads without limits, and it refuses documents for values in
// fields that do not matter here. What the standard asks of a document that does
// matter is checked: that products are defined, and are not said to be two
// things at once.
package csaf
