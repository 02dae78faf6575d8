package openscap

import "fmt"

// truth is a result of OVAL ("ResultEnumeration" of the OVAL results schema 5).
type truth string

const (
	isTrue        truth = "true"
	isFalse       truth = "false"
	isUnknown     truth = "unknown"
	isError       truth = "error"
	notEvaluated  truth = "not evaluated"
	notApplicable truth = "not applicable"
)

func (t truth) not() truth {
	switch t {
	case isTrue:
		return isFalse
	case isFalse:
		return isTrue
	}
	return t
}

// combine joins results by an operator as the tables of the OVAL definitions
// schema say ("OperatorEnumeration"): what is not applicable does not count, and
// what could not be told matters only where it decides.
func combine(operator string, all []truth) (truth, error) {
	n := map[truth]int{}
	for _, t := range all {
		n[t]++
	}
	if n[notApplicable] == len(all) {
		return notApplicable, nil
	}
	decided := notEvaluated // by what could not be told
	switch {
	case n[isError] > 0:
		decided = isError
	case n[isUnknown] > 0:
		decided = isUnknown
	case n[notEvaluated] == 0:
		decided = ""
	}
	switch operator {
	case "AND", "":
		if n[isFalse] > 0 {
			return isFalse, nil
		}
		return orElse(decided, isTrue), nil
	case "OR":
		if n[isTrue] > 0 {
			return isTrue, nil
		}
		return orElse(decided, isFalse), nil
	case "ONE":
		if n[isTrue] > 1 {
			return isFalse, nil
		}
		return orElse(decided, whether(n[isTrue] == 1)), nil
	case "XOR":
		return orElse(decided, whether(n[isTrue]%2 == 1)), nil
	}
	return "", fmt.Errorf("the operator %q is not known", operator)
}

func orElse(decided, otherwise truth) truth {
	if decided != "" {
		return decided
	}
	return otherwise
}

func whether(yes bool) truth {
	if yes {
		return isTrue
	}
	return isFalse
}
