// Package resolve chooses packages as apt does: given names and what is
// already installed, it answers with the very set that apt-get install would
// add, or explains in words why there is none.
//
// It follows apt 2.6's own way, because the choice among alternatives and
// providers is not in any specification: the order in which apt's cache first
// meets a name decides between equals (pkgcachegen.cc), installing marks
// depth first (depcache.cc, MarkInstall), the problem resolver settles what is
// left (algorithms.cc), and what nothing needs is swept. It never fetches and
// never removes an installed package.
package resolve
