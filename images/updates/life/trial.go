package life

import (
	"fmt"
	"math"
)

// Trial is what came of baking a candidate lock, scanning the image and starting it
// in isolation. Who runs trials fills it in; nothing here runs one.
type Trial struct {
	// ID names the trial: a SHA-256 in lower-case hex, such as that of its report.
	ID string `json:"id"`
	// Baseline and Architecture are whose lock was tried.
	Baseline     string `json:"baseline"`
	Architecture string `json:"architecture"`
	// Lock is the SHA-256 of the candidate lock's file, which the trial's updates
	// are in; Before is that of the lock that it is compared with, empty for a
	// first one.
	Lock   string `json:"lock"`
	Before string `json:"before,omitempty"`
	// Image is the version that was baked for it (NAME@sha256:…); it may be empty.
	Image string `json:"image,omitempty"`
	// Passed says that it baked, that its gates agree and that it works; Failed are
	// the reasons why it has not, in words.
	Passed bool     `json:"passed"`
	Failed []string `json:"failed,omitempty"`
	// Difference is to the image of the lock before.
	Difference Difference `json:"difference"`
}

// Difference is what differs between two images.
type Difference struct {
	Packages []PackageDifference `json:"packages,omitempty"`
	Files    FilesDifference     `json:"files"`
	Scores   []ScoreDifference   `json:"scores,omitempty"`
	// Fixed and Introduced are the CVEs that only the image before has, and that only
	// the new one has.
	Fixed      []string `json:"fixed,omitempty"`
	Introduced []string `json:"introduced,omitempty"`
}

// PackageDifference is one package of another version; From is empty when it is
// new, To when it is gone.
type PackageDifference struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// FilesDifference counts files. Examples are some of their paths.
type FilesDifference struct {
	Added    int      `json:"added"`
	Removed  int      `json:"removed"`
	Changed  int      `json:"changed"`
	Examples []string `json:"examples,omitempty"`
}

// ScoreDifference is the score of one benchmark at one level, in percent.
type ScoreDifference struct {
	Benchmark string  `json:"benchmark"`
	Level     int     `json:"level"`
	From      float64 `json:"from"`
	To        float64 `json:"to"`
}

// Check finds the first thing that no trial may say.
func (t *Trial) Check() error {
	switch {
	case !digestForm.MatchString(t.ID):
		return fmt.Errorf("%.80q is no trial's id: expected 64 hexadecimal digits", t.ID)
	case !isWord(t.Baseline, 128) || !isWord(t.Architecture, 40):
		return fmt.Errorf("%.80q for %.40q is no baseline", t.Baseline, t.Architecture)
	case !digestForm.MatchString(t.Lock) || t.Before != "" && !digestForm.MatchString(t.Before):
		return fmt.Errorf("%.80q or %.80q is no lock's digest", t.Lock, t.Before)
	case t.Image != "" && !isWord(t.Image, 300):
		return fmt.Errorf("%.80q is no image", t.Image)
	case t.Passed != (len(t.Failed) == 0):
		return fmt.Errorf("a trial has either passed or failed for a reason")
	}
	d := &t.Difference
	for what, list := range map[string][]string{"reasons": t.Failed, "examples of files": d.Files.Examples, "CVEs fixed": d.Fixed, "CVEs introduced": d.Introduced} {
		if len(list) > maxList {
			return fmt.Errorf("it has %d %s, the limit is %d", len(list), what, maxList)
		}
		for _, s := range list {
			if err := text("one of the "+what, s); err != nil {
				return err
			}
		}
	}
	if len(d.Packages) > maxList || len(d.Scores) > maxList {
		return fmt.Errorf("it has %d packages and %d scores, the limit is %d", len(d.Packages), len(d.Scores), maxList)
	}
	for _, p := range d.Packages {
		if !isWord(p.Name, 200) || p.From != "" && !isWord(p.From, 500) || p.To != "" && !isWord(p.To, 500) || p.From == p.To {
			return fmt.Errorf("package %.80q from %.80q to %.80q is no difference", p.Name, p.From, p.To)
		}
	}
	for _, s := range d.Scores {
		if !isWord(s.Benchmark, 128) || math.IsNaN(s.From+s.To) || min(s.From, s.To) < 0 || max(s.From, s.To) > 100 {
			return fmt.Errorf("score of %.80q from %f to %f is none", s.Benchmark, s.From, s.To)
		}
	}
	return nil
}
