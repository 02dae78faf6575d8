package kernel

import (
	"fmt"
	"strings"
)

// Variable is a value that GRUB's menu gives a variable. From and To are where
// "name=value" is, in bytes of the text.
type Variable struct {
	Name, Value string
	From, To    int
}

// Variables lists what a menu assigns, in its order. For the variable that is
// wanted what cannot be told is an error: that a block assigns it another value
// than the rest of the menu, that it is assigned what is known at boot only, and
// that it is taken back. So is a menu that GRUB would not read to its end. What
// files say that the menu has GRUB read is not known.
func Variables(text, wanted string) ([]Variable, error) {
	var list []Variable
	// Of the variable that is wanted: its last value, whether it has had another,
	// and whether a block gave it one.
	var given *string
	var differ, within bool
	err := scanMenu(text, func(command []word, depth int) error {
		name := command[0].text
		fail := func(why string) error {
			return fmt.Errorf("line %d: %s %s", lineOf(text, command[0].start), wanted, why)
		}
		at := command[0]
		switch {
		case name == "set" && len(command) > 1:
			at = command[1]
		case name == "unset" || name == "for" || strings.HasPrefix(name, "read"):
			for _, w := range command[1:] {
				if w.text == wanted {
					return fail("is given no value that is known")
				}
			}
			return nil
		}
		key, value, assigned := strings.Cut(at.text, "=")
		if !assigned {
			return nil
		}
		switch {
		case key != wanted:
		case at.variable:
			return fail("is assigned what is known at boot only")
		case name == "set" && len(command) > 2 || name != "set" && len(command) > 1:
			return fail("is assigned in a command that has more words")
		}
		if key == wanted {
			within = within || depth > 0
			differ = differ || given != nil && *given != value
			given = &value
			if within && differ {
				return fail("is assigned more than one value, and in a block")
			}
		}
		list = append(list, Variable{Name: key, Value: value, From: at.start, To: at.end})
		return nil
	})
	return list, err
}
