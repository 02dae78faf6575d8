package apparmor

// Pattern is what tells which programs a profile is for.
var Pattern = pattern

// Parse reads the profiles of a file, and the variables that it sets; what it
// includes is left out.
func Parse(text string) ([]Profile, Variables, error) {
	p, err := parse(text, outside)
	return p.profiles, p.variables, err
}
