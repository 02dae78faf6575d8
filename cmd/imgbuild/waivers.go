package main

import (
	"github.com/spf13/pflag"

	"imgbuild/builder/scan/hygiene"
)

// addScopeFlags adds those that say whose a target is.
func addScopeFlags(flags *pflag.FlagSet, customer, fleet *string) {
	flags.StringVar(customer, "customer", "", "apply the waivers of this `CUSTOMER` too")
	flags.StringVar(fleet, "fleet", "", "apply the waivers of this `FLEET` (CUSTOMER/NAME) too")
}

// strayKinds are what a waiver may call a stray.
func strayKinds() []string {
	var names []string
	for _, kind := range hygiene.Kinds() {
		names = append(names, string(kind))
	}
	return names
}
