package project

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"imgbuild/images/fault"
	"imgbuild/images/updates/policy"
)

func defaults(data, cache string) map[string]string {
	return map[string]string{
		"archive.dir": filepath.Join(data, "archive"),
		"cache.dir":   cache,
		"cache.limit": "20GiB",
		"catalog":     filepath.Join(data, "catalog"),
		"policy.mode": string(policy.Open),
	}
}

// load reads the settings from their four places and checks them.
func load(file, work string, flags *pflag.FlagSet, defaults map[string]string) (Config, error) {
	v := viper.New()
	l := loaded{origins: map[string]origin{}, work: work}
	if file != "" {
		f, err := readFile(file)
		if err != nil {
			return Config{}, err
		}
		if err := v.MergeConfigMap(f.nested()); err != nil {
			return Config{}, fmt.Errorf("reading settings of %s: %w", file, err)
		}
		l.origins, l.rules = f.origins(), f.rules
		l.approved = f.values["policy.mode"] == string(policy.Approved)
	}
	for _, s := range Settings() {
		if err := v.BindEnv(s.Key, s.Variable()); err != nil {
			return Config{}, fmt.Errorf("reading %s: %w", s.Variable(), err)
		}
		if os.Getenv(s.Variable()) != "" {
			l.origins[s.Key] = origin{subject: s.Variable(), dir: work}
		}
		if flags == nil {
			continue
		}
		if flag := flags.Lookup(s.Flag()); flag != nil && flag.Changed {
			v.Set(s.Key, flag.Value.String())
			l.origins[s.Key] = origin{subject: "--" + s.Flag(), dir: work}
		}
	}
	for key, value := range defaults {
		v.SetDefault(key, value)
		if v.GetString(key) == "" { // written, but empty
			v.Set(key, value)
		}
	}
	hooks := viper.DecodeHook(mapstructure.StringToSliceHookFunc(","))
	if err := v.Unmarshal(&l.Config, hooks); err != nil {
		return Config{}, fault.Inputf("reading settings").Because(err)
	}
	if err := l.checkCatalogs(); err != nil {
		return Config{}, err
	}
	l.makeAbsolute()
	l.Policy.Policy = l.rules
	l.Policy.Policy.Mode = policy.Mode(l.Policy.Mode)
	if l.approved && l.Policy.Policy.Mode == policy.Open {
		return Config{}, fault.Inputf("%s is open, and the project's file demands approval", l.subject("policy.mode")).
			WithHint("change it in %s, where others see it", file)
	}
	return l.Config, l.check()
}

// loaded are settings that know where they were written.
type loaded struct {
	Config
	origins map[string]origin
	// rules are those of policy:, without the mode.
	rules policy.Policy
	// approved says that the file's mode is, which nothing else may loosen: the
	// environment is nobody's to review.
	approved bool
	// work is where the relative paths of other settings start.
	work string
}

// subject begins an error about a setting.
func (l *loaded) subject(key string) string {
	if o, ok := l.origins[key]; ok {
		return o.subject
	}
	return key
}

// base is where a relative path of a setting starts.
func (l *loaded) base(key string) string {
	if o, ok := l.origins[key]; ok {
		return o.dir
	}
	return l.work
}

// makeAbsolute makes every path absolute, from the place it was written in.
func (l *loaded) makeAbsolute() {
	for key, path := range map[string]*string{
		"keyring": &l.Keyring, "ca": &l.CA, "archive.dir": &l.Archive.Dir,
		"cache.dir": &l.Cache.Dir, "key-password-file": &l.KeyPasswordFile, "openscap.content": &l.OpenSCAP.Content,
		"approver-key": &l.ApproverKey,
	} {
		*path = join(l.base(key), *path)
	}
	if !IsRegistry(l.Catalog) {
		l.Catalog = join(l.base("catalog"), l.Catalog)
	}
	for i, source := range l.Archive.Sources {
		if !strings.Contains(source, "://") {
			l.Archive.Sources[i] = join(l.base("archive.sources"), source)
		}
	}
	for i := range l.Trust {
		l.Trust[i].Key = join(l.base(trustKey), l.Trust[i].Key)
		if catalog := l.Trust[i].Catalog; catalog != "" && !IsRegistry(catalog) {
			l.Trust[i].Catalog = join(l.base(trustKey), catalog)
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
