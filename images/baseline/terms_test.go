package baseline_test

import (
	"strings"
	"testing"

	"imgbuild/images/baseline"
	"imgbuild/images/fault"
)

// TestGatesThatAreNotKnownAreNotPassed reads recipes that a later program baked.
func TestGatesThatAreNotKnownAreNotPassed(t *testing.T) {
	if terms, err := baseline.ReadTerms([]byte(`{"gates":{"clean":true},"later":1}`)); err != nil || !terms.Gates.Clean {
		t.Errorf("got %+v, %v", terms, err)
	}
	terms, err := baseline.ReadTerms([]byte(`{"sources": {"a": {"url": "x", "advisories": "none"}, "b": {"url": "x"}, "c": {"deb": {}, "sha256": "12", "advisories": "none"}}}`))
	if err != nil || !terms.Unadvised("a") || terms.Unadvised("b") || terms.Unadvised("c") || !terms.Unadvised("12") || terms.Unadvised("") {
		t.Errorf("got %+v, %v", terms, err)
	}
	if _, err := baseline.ReadTerms([]byte(`{"gates":{"later":"high"}}`)); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "later") {
		t.Errorf("got %v", err)
	}
}
