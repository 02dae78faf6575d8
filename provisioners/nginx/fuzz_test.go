package nginx_test

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
	f.Add("http { server { location / { limit_except GET { } } server_tokens on; } }")
	f.Add("user root; http { include /etc/nginx/*.conf; a \"${b}\" 'c\\'' \\; ${d}e; }")
	f.Fuzz(func(t *testing.T, text string) {
		for _, wish := range []string{states[0], states[7], states[12], states[15], states[17], states[18]} {
			ctx := context.Background()
			sys := system.NewMemory()
			put(t, sys, map[string]string{mainFile: text, "/etc/nginx/conf.d/x.conf": "access_log off;"})
			s := state(t, wish)
			if _, err := s.Apply(ctx, sys); err != nil {
				continue
			}
			edittest.Settled(t, s, sys)
		}
	})
}
