package control

import (
	"regexp"
	"strings"

	"imgbuild/images/fault"
)

// Scope is whom something is judged for: a customer ("acme"), one fleet of
// theirs ("acme/web"), or nobody in particular ("").
type Scope string

var (
	customerName = regexp.MustCompile(`^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$`)
	fleetName    = regexp.MustCompile(`^[a-z][a-z0-9]*(?:-[a-z0-9]+)*/[a-z0-9]+(?:-[a-z0-9]+)*$`)
)

// maxScope is the longest name of a customer or fleet.
const maxScope = 60

// ParseScope reads what a person says: a customer, a fleet (CUSTOMER/FLEET), both
// when they belong together, or neither.
func ParseScope(customer, fleet string) (Scope, error) {
	if customer != "" && (!customerName.MatchString(customer) || len(customer) > maxScope) {
		return "", fault.Inputf("%q is not the name of a customer", customer).
			WithHint("lower-case letters and digits, parted by single '-', a letter first, at most %d", maxScope)
	}
	if fleet == "" {
		return Scope(customer), nil
	}
	if !fleetName.MatchString(fleet) || len(fleet) > maxScope {
		return "", fault.Inputf("%q is not the name of a fleet", fleet).WithHint("CUSTOMER/FLEET, such as acme/web, of lower-case letters, digits and single '-'")
	}
	s := Scope(fleet)
	if customer != "" && s.Customer() != Scope(customer) {
		return "", fault.Inputf("the fleet %s is not of the customer %s", fleet, customer)
	}
	return s, nil
}

// Customer is the scope of a fleet's customer; of a customer the scope itself.
func (s Scope) Customer() Scope {
	customer, _, _ := strings.Cut(string(s), "/")
	return Scope(customer)
}

// Flag is how a command line says the scope; "" for everybody.
func (s Scope) Flag() string {
	switch {
	case s == "":
		return ""
	case s == s.Customer():
		return "--customer " + string(s)
	}
	return "--fleet " + string(s)
}

// Covers tells whether other is s or a part of it: everybody covers all
// customers, a customer covers their fleets.
func (s Scope) Covers(other Scope) bool { return s == "" || s == other || s == other.Customer() }

// Owns tells whether a channel is named for the scope: "acme-prod" for "acme",
// "acme-web" and "acme-web-test" for "acme/web". Every channel is everybody's.
func (s Scope) Owns(channel string) bool {
	name := strings.ReplaceAll(string(s), "/", "-")
	return s == "" || channel == name || strings.HasPrefix(channel, name+"-")
}
