package project

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
)

// maxConfig is the largest configuration file in bytes that is read.
const maxConfig = 1 << 20

func defaults(data, cache string) map[string]string {
	return map[string]string{
		"archive.dir": filepath.Join(data, "archive"),
		"cache.dir":   cache,
		"cache.limit": "20GiB",
		"catalog":     filepath.Join(data, "catalog"),
		"policy.mode": PolicyOpen,
	}
}

// load reads the settings from their four places and checks them.
func load(file, work string, flags *pflag.FlagSet, defaults map[string]string) (Config, error) {
	v := viper.New()
	for key, value := range defaults {
		v.SetDefault(key, value)
	}
	if file != "" {
		if err := readFile(v, file); err != nil {
			return Config{}, err
		}
	}
	outside := map[string]bool{}
	for _, s := range Settings() {
		if err := v.BindEnv(s.Key, s.Variable()); err != nil {
			return Config{}, fmt.Errorf("reading %s: %w", s.Variable(), err)
		}
		outside[s.Key] = os.Getenv(s.Variable()) != ""
		if flags == nil {
			continue
		}
		if flag := flags.Lookup(s.Flag()); flag != nil && flag.Changed {
			v.Set(s.Key, flag.Value.String())
			outside[s.Key] = true
		}
	}
	var c Config
	hooks := viper.DecodeHook(mapstructure.ComposeDecodeHookFunc(mapstructure.StringToSliceHookFunc(","), timeToText))
	if err := v.Unmarshal(&c, hooks); err != nil {
		return Config{}, fault.Inputf("reading settings of %s", orEnvironment(file)).Because(err)
	}
	base := func(key string) string {
		if outside[key] || file == "" {
			return work
		}
		return filepath.Dir(file)
	}
	absolute(&c, base)
	if err := check(&c); err != nil {
		return Config{}, err
	}
	return c, nil
}

// timeToText gives back the text of a value that YAML takes for a time.
func timeToText(_, to reflect.Type, value any) (any, error) {
	if at, ok := value.(time.Time); ok && to.Kind() == reflect.String {
		return at.Format(time.RFC3339), nil
	}
	return value, nil
}

func readFile(v *viper.Viper, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("reading settings: %w", err)
	}
	if info.Size() > maxConfig {
		return fault.Inputf("reading settings: %s has %d bytes, more than any configuration", file, info.Size())
	}
	v.SetConfigFile(file)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		return fault.Inputf("reading settings of %s", file).Because(err)
	}
	return refuseUnknown(v, file)
}

// refuseUnknown checks every key of the file against the known ones.
func refuseUnknown(v *viper.Viper, file string) error {
	known := []string{"trust"}
	for _, s := range Settings() {
		known = append(known, s.Key)
	}
	for _, key := range v.AllKeys() {
		if !v.InConfig(key) || slices.Contains(known, key) || isGroup(v, key, known) {
			continue
		}
		return unknownKey(file, key, known)
	}
	entries, _ := v.Get("trust").([]any)
	for _, entry := range entries {
		fields, ok := entry.(map[string]any)
		if !ok {
			return fault.Inputf("%s: trust: each entry is a mapping with name: and key:", file)
		}
		for key := range fields {
			if fieldsOfTrust := []string{"name", "key", "catalog", "not-after", "withdrawn"}; !slices.Contains(fieldsOfTrust, key) {
				return unknownKey(file, key, fieldsOfTrust)
			}
		}
	}
	return nil
}

// isGroup says whether key is an empty group such as "archive:" on a line of
// its own, which holds nothing and harms nothing.
func isGroup(v *viper.Viper, key string, known []string) bool {
	return v.Get(key) == nil && slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, key+".") })
}

func unknownKey(file, key string, known []string) error {
	last := key[strings.LastIndex(key, ".")+1:]
	err := fault.Inputf("%s: unknown setting %q", position(file, last), key)
	if near := node.Nearest(key, known); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	return err.WithHint("known settings: %s", strings.Join(known, ", "))
}

// position adds the line of a key to the file's name where it can be found.
func position(file, key string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return file
	}
	pattern := regexp.MustCompile(`(?i)^[\s-]*"?` + regexp.QuoteMeta(key) + `"?\s*:`)
	for i, line := range strings.Split(string(text), "\n") {
		if at := pattern.FindStringIndex(line); at != nil {
			return fmt.Sprintf("%s:%d:%d", file, i+1, 1+len(line)-len(strings.TrimLeft(line, " \t-")))
		}
	}
	return file
}

func orEnvironment(file string) string {
	if file == "" {
		return "the environment"
	}
	return file
}

// absolute makes every path of c absolute, from the place it was written in.
func absolute(c *Config, base func(key string) string) {
	for key, path := range map[string]*string{
		"keyring": &c.Keyring, "ca": &c.CA, "archive.dir": &c.Archive.Dir,
		"cache.dir": &c.Cache.Dir, "key-password-file": &c.KeyPasswordFile,
	} {
		*path = join(base(key), *path)
	}
	if !IsRegistry(c.Catalog) {
		c.Catalog = join(base("catalog"), c.Catalog)
	}
	for i, source := range c.Archive.Sources {
		if !strings.Contains(source, "://") {
			c.Archive.Sources[i] = join(base("archive.sources"), source)
		}
	}
	for i := range c.Trust {
		c.Trust[i].Key = join(base("trust"), c.Trust[i].Key)
		if catalog := c.Trust[i].Catalog; catalog != "" && !IsRegistry(catalog) {
			c.Trust[i].Catalog = join(base("trust"), catalog)
		}
	}
}

func join(base, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

// IsRegistry says whether a catalog's place is a registry, written as
// docker://HOST[:PORT]/PATH, and not a directory.
func IsRegistry(catalog string) bool { return strings.HasPrefix(catalog, "docker://") }

func check(c *Config) error {
	if c.Policy.Mode != PolicyOpen {
		return fault.Inputf("policy.mode is %q", c.Policy.Mode).WithHint("use %s: whoever locks approves", PolicyOpen)
	}
	for key, value := range map[string]*string{
		"mirror": &c.Mirror, "security-mirror": &c.SecurityMirror, "snapshot": &c.Snapshot, "proxy": &c.Proxy,
	} {
		if *value == "" {
			continue
		}
		u, err := url.Parse(*value)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fault.Inputf("%s is %q, which is no http or https URL", key, *value).
				WithHint("write it as http://mirror.example/debian")
		}
		*value = strings.TrimRight(*value, "/")
	}
	size, err := ParseSize(c.Cache.Limit)
	if err != nil {
		return fault.Inputf("cache.limit").Because(err)
	}
	c.Cache.LimitBytes = size
	return nil
}
