package audit

// Sources is what Compile is given.
var Sources = sources
