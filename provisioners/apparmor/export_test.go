package apparmor

// Pattern is what tells which programs a profile is for.
var Pattern = pattern
