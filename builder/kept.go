package builder

import (
	"context"
	"slices"

	"imgbuild/builder/debian"
	"imgbuild/builder/debian/repo"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/baseline"
)

// Kept gives the versions of source packages, as advisories call them, that the repositories of a recipe had
// when they were last read, without asking anybody. Nil is that not all of that is
// known any more.
func (l *Locker) Kept(ctx context.Context, recipe *baseline.Recipe) func(sources map[string]bool) map[string][]string {
	return func(sources map[string]bool) map[string][]string {
		from, err := l.sources(ctx, recipe)
		if err != nil {
			return nil
		}
		versions := map[string][]string{}
		for _, source := range from {
			err := l.Client.Kept(recipe.Architecture, source, func(name, version []byte) {
				of, v := installed.Unsigned(string(name), string(version))
				if sources[of] && !slices.Contains(versions[of], v) {
					versions[of] = append(versions[of], v)
				}
			})
			if err != nil {
				return nil
			}
		}
		return versions
	}
}

// sources are the repositories of a recipe.
func (l *Locker) sources(ctx context.Context, recipe *baseline.Recipe) ([]repo.Source, error) {
	mirror, err := l.Mirror(debian.ArchiveDebian, recipe.Suite)
	if err != nil {
		return nil, err
	}
	security, err := l.Mirror(debian.ArchiveSecurity, recipe.Suite+"-security")
	if err != nil {
		return nil, err
	}
	request := debian.Request{Sources: debian.DebianSources(recipe.Suite, mirror, security, nil, l.Keys)}
	for _, name := range sortedKeys(recipe.Sources) {
		if s := recipe.Sources[name]; s.Deb == nil {
			if err := l.addSource(ctx, &request, name, s); err != nil {
				return nil, err
			}
		}
	}
	return request.Sources, nil
}
