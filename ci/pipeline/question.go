package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"imgbuild/ci/feeds"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/applies"
	"imgbuild/images/control"
)

// Question is what images are held against.
type Question struct {
	Index *advisory.Index
	Facts *feeds.Facts
	// Watched are the kinds of the feeds, for the words about a name that nobody knows.
	Watched []feeds.Kind
	Stock   *Stocked
	Waivers []*control.Waiver
	// For is whom the images are judged for: the waivers of a customer count for
	// them alone.
	For control.Scope
	Now time.Time
}

// Answer is what concerns images.
type Answer struct {
	// Concerns are the vulnerabilities that any of them has, the worst first.
	Concerns []*Concern
	// Gaps are what could not be told.
	Gaps []Gap

	// installed are the packages of the images by platform.
	installed map[Platform]binaries
}

// Concerns says which vulnerabilities the images have, waived ones included. Places
// are those that have it, in the order of the images.
func (q *Question) Concerns(ctx context.Context, images []*Image) (*Answer, error) {
	a := &Answer{}
	found := map[string]*Concern{}
	matcher := q.Index.Matcher()
	names := map[string][]advisory.Name{}
	for _, image := range images {
		outputs, err := q.outputs(ctx, image, matcher, a)
		if err != nil {
			return nil, err
		}
		for _, o := range outputs {
			for id, findings := range o.has() {
				if names[id] == nil {
					if names[id], err = q.Index.Packages(id); err != nil {
						return nil, err
					}
				}
				f := &findings[0]
				verdict := applies.Judge(applies.Vulnerability{ID: id, Aliases: f.Aliases, Names: names[id]}, &o.Output, findings, q.Waivers, q.Now)
				c := found[id]
				if c == nil {
					c = &Concern{ID: id, Aliases: f.Aliases, Severity: f.Severity, Threat: q.threat(id, f.Aliases)}
					found[id] = c
					a.Concerns = append(a.Concerns, c)
				}
				for _, one := range findings {
					c.Severity = advisory.Worse(c.Severity, one.Severity)
				}
				c.add(o.place(verdict), verdict.Finding.Advisories)
			}
		}
	}
	slices.SortFunc(a.Concerns, (*Concern).compare)
	return a, nil
}

// output is a form of an image with what advisories say of it.
type output struct {
	applies.Output
	image    *Image
	findings []advisory.Finding
}

// has are the findings of what it has, by vulnerability, with all others of those.
func (o *output) has() map[string][]advisory.Finding {
	found := map[string][]advisory.Finding{}
	for _, f := range o.findings {
		// What the package has comes before what it has not.
		if f.State.Has() || found[f.Vulnerability] != nil {
			found[f.Vulnerability] = append(found[f.Vulnerability], f)
		}
	}
	return found
}

// outputs are the forms of an image, held against the index. What cannot be told
// of them goes into the answer.
func (q *Question) outputs(ctx context.Context, image *Image, matcher *advisory.Matcher, a *Answer) ([]*output, error) {
	contents, err := q.Stock.Contents(ctx, image)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		a.Gaps = append(a.Gaps, gapOf(image.Version.Baseline, image.Version.Ref(), err))
		return nil, nil
	}
	return q.outputsOf(image, contents, matcher, a)
}

// shown is how many packages a gap names.
const shown = 3

func (q *Question) outputsOf(image *Image, contents Contents, matcher *advisory.Matcher, a *Answer) ([]*output, error) {
	var outputs []*output
	for _, form := range []control.Output{control.Machine, control.Container} {
		packages := contents[form]
		if packages == nil {
			continue
		}
		result, err := matcher.Match(packages)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", image.Version.Ref(), form, err)
		}
		o := &output{image: image, findings: result.Findings}
		o.Output = applies.Output{
			Image: image.Version.Ref(), Packages: packages, Unjudged: result.Unjudged,
			Of: control.Subject{Baseline: image.Version.Baseline, Output: form, For: q.For},
		}
		outputs = append(outputs, o)
		a.unjudged(o)
		a.note(o)
	}
	for _, o := range outputs {
		for _, other := range outputs {
			if other != o {
				o.Siblings = append(o.Siblings, &other.Output)
			}
		}
	}
	return outputs, nil
}

// unjudged notes the packages of an output of which nothing can be told, together
// where it is for one reason.
func (a *Answer) unjudged(o *output) {
	by := map[string][]string{}
	var order []string
	for _, u := range o.Unjudged {
		if by[u.Reason] == nil {
			order = append(order, u.Reason)
		}
		by[u.Reason] = append(by[u.Reason], u.Package)
	}
	for _, why := range order {
		list := by[why]
		what := list[0]
		switch n := len(list); {
		case n > shown:
			what = fmt.Sprintf("%d of %d packages", n, len(o.Packages))
		case n > 1:
			what = fmt.Sprintf("%d packages, such as %s,", n, what)
		}
		a.Gaps = append(a.Gaps, Gap{baseline: o.Of.Baseline, Where: o.Image + " (" + string(o.Of.Output) + ")", Why: what + " cannot be judged: " + why})
	}
}

// place is what a verdict says of an output.
func (o *output) place(v applies.Verdict) Place {
	p := Place{
		Image: o.Image, Digest: o.image.Version.Index.Digest.String(), Channels: o.image.Channels, Output: o.Of.Output,
		State: v.State, Reason: v.Reason, Waiver: v.Waiver, baseline: o.Of.Baseline, architecture: o.image.Architecture(),
	}
	if f := v.Finding; f != nil {
		p.Package, p.Version, p.Binaries, p.Fixed, p.said = f.Package, f.Version, f.Binaries, f.Fixed, f.State
	}
	return p
}

// threat is what feeds say of a vulnerability's use, under any of its names.
func (q *Question) threat(id string, aliases []string) Threat {
	var t Threat
	for _, name := range append([]string{id}, aliases...) {
		for _, catalog := range q.Facts.Exploited {
			if e, ok := catalog.Find(name); ok && t.Exploited == nil {
				t.Exploited = &Exploited{Since: e.Added, Due: e.Due, Ransomware: e.Ransomware}
			}
		}
		for _, scores := range q.Facts.Scores {
			if s, ok := scores.Find(name); ok && (t.EPSS == nil || s.Probability > *t.EPSS) {
				t.EPSS = &s.Probability
			}
		}
	}
	return t
}

// About is what is published under a name, and what images have to do with it.
type About struct {
	// ID is the name as the feeds write it.
	ID string
	// Records are what is published, and Concerns the vulnerabilities that it is
	// about, with a place for every output that was asked about.
	Records  []*advisory.Record
	Concerns []*Concern
	// Looked are the images that have a package of the kind, or may have.
	Looked []*Image
	Gaps   []Gap
}

// About says what a name stands for: a vulnerability, an alias of one, or an
// advisory about several. It looks at those images alone that have a package of
// the kind; the others have nothing to do with it.
func (q *Question) About(ctx context.Context, typed string, images []*Image) (*About, error) {
	name, err := Named(q.Index, typed, q.Watched)
	if err != nil {
		return nil, err
	}
	records, err := q.Index.Named(name)
	if err != nil {
		return nil, err
	}
	vulnerabilities, err := q.Index.Vulnerabilities(name)
	if err != nil {
		return nil, err
	}
	about, a := &About{ID: name, Records: records}, &Answer{}
	judged, matcher := map[string][]*output{}, q.Index.Matcher()
	for _, v := range vulnerabilities {
		names, err := q.Index.Packages(v.ID)
		if err != nil {
			return nil, err
		}
		c := &Concern{ID: v.ID, Aliases: v.Aliases, Threat: q.threat(v.ID, v.Aliases), State: applies.NotInOutput, Places: []Place{}}
		for _, image := range q.Stock.With(images, names) {
			outputs, asked := judged[image.id()]
			if !asked {
				if outputs, err = q.outputs(ctx, image, matcher, a); err != nil {
					return nil, err
				}
				judged[image.id()] = outputs
				about.Looked = append(about.Looked, image)
			}
			for _, o := range outputs {
				var findings []advisory.Finding
				for _, f := range o.findings {
					if f.Vulnerability == v.ID {
						findings = append(findings, f)
						c.Severity = advisory.Worse(c.Severity, f.Severity)
					}
				}
				verdict := applies.Judge(applies.Vulnerability{ID: v.ID, Aliases: v.Aliases, Names: names}, &o.Output, findings, q.Waivers, q.Now)
				var advisories []string
				if verdict.Finding != nil {
					advisories = verdict.Finding.Advisories
				}
				c.add(o.place(verdict), advisories)
			}
		}
		if c.Severity == "" {
			c.Severity = v.Severity
		}
		about.Concerns = append(about.Concerns, c)
	}
	about.Gaps = a.Gaps
	slices.SortFunc(about.Concerns, (*Concern).compare)
	return about, nil
}
