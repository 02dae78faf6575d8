package baseline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
)

func TestMutablePathsAreClassed(t *testing.T) {
	src := project(t, map[string]string{
		"baselines/plain.yaml": base + "mutable:\n" +
			"  /opt/app/state/**: {owner: ops, reason: the app's data}\n" +
			"  /opt/app/old: {owner: ops, reason: gone}\n" +
			"  /etc/app.conf: {owner: ops, reason: r, class: seeded}\n",
		"baselines/web.yaml": `
extends: plain
remove: {mutable: [/opt/app/old]}
mutable:
  /etc/app.conf: {reason: the app writes it itself, class: variable}
  /var/www/shop/up*: {owner: web team, reason: uploads}
  /var/www/*: {owner: web team, reason: made at first boot, class: seeded}
`,
	})
	r := load(t, src, "web")
	if got := r.Mutable["/etc/app.conf"]; got != (baseline.Mutable{Owner: "ops", Reason: "the app writes it itself", Class: integrity.Variable}) {
		t.Errorf("a child's words are not laid over its parent's: %+v", got)
	}
	// What hangs on a version as evidence says the same.
	canonical, err := r.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	terms, err := baseline.ReadTerms(canonical)
	if err != nil {
		t.Fatal(err)
	}
	for name, mutable := range map[string]baseline.Mutables{"recipe": r.Mutable, "evidence": terms.Mutable} {
		rules, err := mutable.Rules()
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]integrity.Class{
			"opt/app/state":         integrity.Immutable, // /** is below alone
			"opt/app/state/a/b":     integrity.Variable,
			"opt/app/old/x":         integrity.Immutable, // removed
			"opt/app":               integrity.Immutable,
			"etc/app.conf":          integrity.Variable,
			"etc/app.conf.bak":      integrity.Immutable,
			"var/www/shop/uploads":  integrity.Variable, // the deeper pattern has the last word
			"var/www/shop/up/x.png": integrity.Variable,
			"var/www/shop/index":    integrity.Seeded,
			"var/www":               integrity.Immutable,
			"etc/hostname":          integrity.Seeded, // as everywhere
		} {
			if got := rules.Classify(path, ""); got != want {
				t.Errorf("%s: %s is %s, want %s", name, path, got, want)
			}
		}
	}
}

func TestAnUnchangedRecipeSaysNothingOfMutablePaths(t *testing.T) {
	r := load(t, project(t, map[string]string{"baselines/web.yaml": base}), "web")
	said, err := json.Marshal(r.Terms())
	if err != nil || string(said) != "{}" {
		t.Errorf("%s, %v", said, err)
	}
	rules, err := r.Mutable.Rules()
	if err != nil || len(rules) != len(integrity.DefaultRules()) {
		t.Errorf("%d rules, %v", len(rules), err)
	}
}

func TestMutablePathsThatAreRefused(t *testing.T) {
	var many strings.Builder
	for i := range 201 {
		fmt.Fprintf(&many, "\n  /opt/%d: {owner: o, reason: r}", i)
	}
	entry := func(pattern string) string { return fmt.Sprintf("\n  %q: {owner: o, reason: r}", pattern) }
	for _, c := range []struct{ mutable, want string }{
		{entry("srv/uploads"), `baselines/web.yaml:4:3: expected an absolute path, found "srv/uploads"; write "/srv/uploads"`},
		{entry("/srv/../etc/shadow"), `baselines/web.yaml:4:3: "/srv/../etc/shadow" is not a clean path`},
		{entry("/srv//x"), `is not a clean path`},
		{entry("/srv/./x"), `is not a clean path`},
		{entry("/opt/app/"), `"/opt/app/" ends in a slash; write "/opt/app/**"`},
		{entry("/opt/**/x"), `"/opt/**/x" has ** before its end`},
		{entry("/opt/${arch}/x"), `has a variable; they are not filled into names`},
		{entry("/opt/[a"), `"/opt/[a" is no pattern`},
		{entry("/opt/a\nb"), `has a control character`},
		{entry("/"), `"/" takes in the whole of /,`},
		{entry("/**"), `"/**" takes in the whole of /,`},
		{entry("/usr"), `"/usr" takes in the whole of /usr, of which nothing would be known then; name what changes below it`},
		{entry("/etc/**"), `takes in the whole of /etc,`},
		{entry("/*/**"), `takes in the whole of /,`},
		{entry("/usr/s*"), `takes in the whole of /usr/sbin,`},
		{entry("/[u]sr/lib"), `takes in the whole of /usr/lib,`},
		{entry("/usr/bin/*"), `takes in the whole of /usr/bin,`},
		{entry("/usr/sbin/[a-z]*/**"), `takes in the whole of /usr/sbin,`},
		{entry("/usr/*/?*"), `takes in the whole of /usr,`},
		{entry("/var/lib/dpkg"), `takes in the whole of /var/lib/dpkg,`},
		{"\n  /opt/x: {reason: r}", `baselines/web.yaml:4:11: missing key "owner"`},
		{"\n  /opt/x: {owner: o}", `missing key "reason"`},
		{"\n  /opt/x: {owner: ' ', reason: r}", `baselines/web.yaml:4:19: "owner" is empty`},
		{"\n  /opt/x: {owner: o, reason: r, class: immutable}", `unknown value "immutable" for "class"`},
		{"\n  /opt/x: {owners: o, reason: r}", `unknown key "owners"; did you mean "owner"?`},
		{" [/opt/x]", `expected a map for "mutable", found a list`},
		{many.String(), `baselines/web.yaml:204:3: more than 200 mutable paths`},
	} {
		src := project(t, map[string]string{"baselines/web.yaml": base + "mutable:" + c.mutable})
		_, err := baseline.Load(context.Background(), src, "web", "amd64")
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Input {
			t.Errorf("%.60s:\ngot  %.300v\nwant %s", c.mutable, err, c.want)
		}
	}
}
