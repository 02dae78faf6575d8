// Package msrc reads the monthly documents of Microsoft's Security Response
// Center (https://api.msrc.microsoft.com/cvrf/v3.0/swagger/index), in their
// form of CVRF 1.1, as XML and as JSON, and says which updates a Windows system
// needs.
//
// What a system needs is not what a month lists. An update replaces those before
// it, and says so by its Supercedence, most of the time: for a third of them the
// field is missing, names an update that no document describes, or stands in
// one document and not in another. A [History] of documents follows it as far as
// it is there. Beyond that it relies on one thing only, that a cumulative update
// with a higher build includes those with a lower one; it does so only where the
// builds can be seen to be of one line, and says it in words each time.
//
// It never downloads anything, looks at no clock and installs nothing.
package msrc
