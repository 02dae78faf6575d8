package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"imgbuild/builder/project"
	"imgbuild/images/report"
	"imgbuild/provisioners"
)

var update = flag.Bool("update", false, "write the generated pages of docs/ again")

// TestReferencePagesAreCurrent compares the generated pages of docs/ with what
// the program says now; make docs writes them.
func TestReferencePagesAreCurrent(t *testing.T) {
	schema, err := provisioners.Schema()
	if err != nil {
		t.Fatal(err)
	}
	reports, err := report.Schema()
	if err != nil {
		t.Fatal(err)
	}
	pages := benchmarkPages(t)
	maps.Copy(pages, map[string]string{
		"settings.md":          settingsPage(),
		"commands.md":          commandsPage(),
		"baseline.schema.json": string(schema),
		"report.schema.json":   string(reports),
		"recipe.md":            recipePage(t, schema),
	})
	for name, want := range pages {
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(got), want); diff != "" {
			t.Errorf("docs/%s is not current; run make docs (-page +program):\n%s", name, diff)
		}
	}
}

func settingsPage() string {
	var page strings.Builder
	page.WriteString("# Settings\n\nEach comes from its flag, else its variable, else `imgbuild.yaml`, else this machine.\n" +
		"Paths are relative to `imgbuild.yaml` there, to the working directory elsewhere.\n\n" +
		"| in imgbuild.yaml | variable | flag | holds |\n|---|---|---|---|\n")
	for _, s := range project.Settings() {
		fmt.Fprintf(&page, "| `%s` | `%s` | `--%s` | %s |\n", s.Key, s.Variable(), s.Flag(), strings.ReplaceAll(s.Usage, "|", "\\|"))
	}
	fmt.Fprintf(&page, "| `trust` | | | the public keys whose signatures count: `name`, `key`, `catalog`, `for`, `not-after`, `withdrawn` |\n"+
		"| | `%s` | | the password of the signing key |\n\n"+
		"An empty value is as good as none.\n\nWithout a project everything lives below the user's XDG directories, and the settings are read\n"+
		"from `~/.config/imgbuild/imgbuild.yaml`.\n", project.PasswordVariable)
	return page.String()
}

func commandsPage() string {
	var page strings.Builder
	page.WriteString("# Commands\n\nEvery command has these flags besides its own:\n\n")
	root := newRootCommand(newEnvironment("imgbuild", os.Stdin, os.Stdout, os.Stderr))
	fmt.Fprintf(&page, "```\n%s```\n", root.PersistentFlags().FlagUsages())
	var write func(cmd *cobra.Command)
	write = func(cmd *cobra.Command) {
		if cmd.Runnable() {
			fmt.Fprintf(&page, "\n## %s\n\n%s\n", strings.TrimSuffix(cmd.UseLine(), " [flags]"), cmd.Long)
			fmt.Fprintf(&page, "\n```\n%s\n```\n", cmd.Example)
			if cmd.LocalFlags().HasAvailableFlags() {
				fmt.Fprintf(&page, "\n```\n%s```\n", cmd.LocalFlags().FlagUsages())
			}
		}
		for _, child := range cmd.Commands() {
			write(child)
		}
	}
	for _, cmd := range root.Commands() {
		write(cmd)
	}
	return page.String()
}

// schemaNode is what the recipe's page needs of a JSON Schema.
type schemaNode struct {
	Ref         string                `json:"$ref"`
	Type        string                `json:"type"`
	Description string                `json:"description"`
	Properties  map[string]schemaNode `json:"properties"`
	Items       *schemaNode           `json:"items"`
	Additional  json.RawMessage       `json:"additionalProperties"`
	AnyOf       []schemaNode          `json:"anyOf"`
	OneOf       []schemaNode          `json:"oneOf"`
	Enum        []any                 `json:"enum"`
	Defs        map[string]schemaNode `json:"$defs"`
}

func recipePage(t *testing.T, schema []byte) string {
	t.Helper()
	var root schemaNode
	if err := json.Unmarshal(schema, &root); err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	page.WriteString("# Recipe reference\n\nMade from the types that recipes are decoded into. For editors: [baseline.schema.json](baseline.schema.json).\n\n## A recipe\n\n")
	writeProperties(&page, root)
	page.WriteString("\n## Resources\n\nEach is a map by name: a path, a user's name, a unit.\n\n")
	writeProperties(&page, root.Properties["resources"])
	names := []string{}
	for name := range root.Defs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if len(root.Defs[name].Properties) > 0 {
			fmt.Fprintf(&page, "\n## %s\n\n", name)
			writeProperties(&page, root.Defs[name])
		}
	}
	return page.String()
}

func writeProperties(page *strings.Builder, n schemaNode) {
	page.WriteString("| key | value | holds |\n|---|---|---|\n")
	keys := []string{}
	for key := range n.Properties {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		p := n.Properties[key]
		fmt.Fprintf(page, "| `%s` | %s | %s |\n", key, typeOf(p), strings.ReplaceAll(p.Description, "|", "\\|"))
	}
}

// typeOf names a value's type in a few words.
func typeOf(n schemaNode) string {
	alternatives := append(n.AnyOf, n.OneOf...)
	switch {
	case n.Ref != "":
		name := n.Ref[strings.LastIndex(n.Ref, "/")+1:]
		return "[" + name + "](#" + strings.ToLower(strings.ReplaceAll(name, ".", "")) + ")"
	case len(alternatives) > 0:
		// The last alternative of many is a ${variable}: the first says it.
		return typeOf(alternatives[0])
	case len(n.Enum) > 0:
		words := []string{}
		for _, e := range n.Enum {
			words = append(words, fmt.Sprintf("`%v`", e))
		}
		return strings.Join(words, ", ")
	case n.Type == "array" && n.Items != nil:
		return "list of " + typeOf(*n.Items)
	case n.Type == "object" && len(n.Properties) > 0:
		return "[resources](#resources)"
	case n.Type == "object":
		var values schemaNode
		if json.Unmarshal(n.Additional, &values) == nil && (values.Ref != "" || values.Type != "" || len(values.OneOf)+len(values.AnyOf) > 0) {
			return "map of " + typeOf(values)
		}
		return "map"
	case n.Type == "":
		return "any"
	}
	return n.Type
}
