package advisory

import (
	"fmt"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"imgbuild/images/control"
)

// SeverityOfScore is the rating of a CVSS score from 0 to 10 by the qualitative
// scale of CVSS 3.1 (section 5) and 4.0 (section 6), which version 2 has not and
// is given here too. A score of 0 is none.
func SeverityOfScore(score float64) control.Severity {
	switch {
	case score >= 9:
		return control.Critical
	case score >= 7:
		return control.High
	case score >= 4:
		return control.Medium
	case score > 0:
		return control.Low
	}
	return ""
}

// SeverityOfVector is the rating of a CVSS vector's base score, for versions
// 2.0, 3.0, 3.1 and 4.0 (there with what it says of threat and environment).
func SeverityOfVector(vector string) (control.Severity, error) {
	if len(vector) > MaxName {
		return "", fmt.Errorf("reading a CVSS vector: it has %d bytes, the limit is %d", len(vector), MaxName)
	}
	score, err := score(vector)
	if err != nil {
		return "", fmt.Errorf("reading CVSS vector %q: %w", vector, err)
	}
	return SeverityOfScore(score), nil
}

func score(vector string) (float64, error) {
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		v, err := gocvss40.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return v.Score(), nil
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		v, err := gocvss31.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return v.BaseScore(), nil
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		v, err := gocvss30.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return v.BaseScore(), nil
	}
	v, err := gocvss20.ParseVector(strings.Trim(vector, "()"))
	if err != nil {
		return 0, err
	}
	return v.BaseScore(), nil
}

// SeverityOfWord is the rating that a vendor's word stands for: those of CVSS,
// of Red Hat and Microsoft ("Important", "Moderate") and of Ubuntu
// ("negligible"), in any case. Other words are none.
func SeverityOfWord(word string) control.Severity {
	switch strings.ToLower(word) {
	case "critical":
		return control.Critical
	case "high", "important":
		return control.High
	case "medium", "moderate":
		return control.Medium
	case "low", "negligible", "minor":
		return control.Low
	}
	return ""
}

// Worse is the worse of two severities; one that is empty is not known and
// gives way.
func Worse(a, b control.Severity) control.Severity {
	if a == "" || (b != "" && b.AtLeast(a)) {
		return b
	}
	return a
}
