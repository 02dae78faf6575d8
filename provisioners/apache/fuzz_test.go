package apache_test

import (
	"context"
	"testing"

	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/system"
)

// FuzzApply hardens whatever is taken for a configuration: either that is an
// error, or the states hold afterwards and a second time changes nothing.
func FuzzApply(f *testing.F) {
	for _, text := range base() {
		f.Add(text)
	}
	f.Add("<directory \"/\">\nOptions +All\n</Directory>\n<IfModule !x.c>\nTimeout \\\n 9\\\n</IfModule>\nIncludeOptional *.conf")
	f.Fuzz(func(t *testing.T, text string) {
		for _, wish := range []string{states[0], states[4], states[11], states[12], states[13], states[14], states[15], `KeepAlive: absent`} {
			ctx := context.Background()
			sys := system.NewMemory()
			put(t, sys, map[string]string{mainFile: text, "/etc/apache2/conf-enabled/x.conf": "ServerTokens OS"})
			s := state(t, wish)
			if _, err := s.Apply(ctx, sys); err != nil {
				continue
			}
			edittest.Settled(t, s, sys)
		}
	})
}
