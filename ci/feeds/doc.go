// Package feeds brings what is published about vulnerabilities to this machine,
// keeps it, and judges whether it can be relied on.
//
// A [Feed] is configuration: a kind and a place, such as a URL. A [Store] keeps
// of each feed the last good data and a [State] that says when it was read and
// what was wrong; [Judge] makes alarms of both. What is stale, empty, cut short
// or suddenly much smaller is an alarm with its reason and its remedy, and the
// data of before stays. A feed in alarm may still say that something is
// vulnerable; that it says nothing of a package is then no fact.
//
// What the files mean is read by images/advisory. Nothing here matches packages
// or decides what is done about a vulnerability, and what is kept is read
// without the network.
package feeds
