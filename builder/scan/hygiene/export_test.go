package hygiene

// HoldsKey is holdsKey.
var HoldsKey = holdsKey
