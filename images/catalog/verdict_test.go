package catalog_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/images/catalog"
	"imgbuild/images/fault"
	"imgbuild/images/signing/signingtest"
)

// judgement is what the gates said in these tests, a reason for each refusal.
func judgement(scope string, why ...string) catalog.Judgement {
	j := catalog.Judgement{For: scope, Who: "ci@example.com", When: day}
	for _, w := range why {
		j.Refusals = append(j.Refusals, catalog.Refusal{Gate: "clean.vm", Why: w})
	}
	return j
}

func TestARejectedVersionEntersNoChannel(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg catalog.Config) {
		ctx := context.Background()
		key, trust := signingtest.Keyring(t, "release")
		cfg.Trust = trust
		c := open(t, cfg)
		v := mustBake(t, c, "web", "one", nil)
		judge := func(j catalog.Judgement) *catalog.Verdict {
			t.Helper()
			verdict, err := c.Judge(ctx, v, j, catalog.Keys{key})
			if err != nil {
				t.Fatal(err)
			}
			return verdict
		}
		promote := func(channel, scope string) error {
			p := promotion(channel)
			p.For = scope
			_, err := c.Promote(ctx, v, p, catalog.Keys{key}, catalog.RefuseRevoked)
			return err
		}
		if got := judge(judgement("")); got != nil {
			t.Errorf("a version that no gate ever refused has the verdict %v", got)
		}
		first := judge(judgement("", "a token", "a history"))
		if again := judge(judgement("", "a token", "a history")); !again.When.Equal(first.When) {
			t.Error("what is said already was said again")
		}
		c = open(t, cfg) // nothing is only in memory
		got, err := c.Verdict(ctx, v, "")
		if err != nil || !got.Rejects() || got.Who != "ci@example.com" || got.By.Name != "release" {
			t.Fatalf("got %+v, %v", got, err)
		}
		if want := "clean.vm: a token; and 1 more"; got.Reasons(1) != want {
			t.Errorf("reasons: got %q, want %q", got.Reasons(1), want)
		}
		if err := promote("released", ""); fault.KindOf(err) != fault.Gate || !strings.Contains(err.Error(), "a history") {
			t.Errorf("got %v, want a refusal with its reasons", err)
		}
		if _, err := c.Resolve(ctx, "web:released", catalog.RefuseRevoked); fault.KindOf(err) != fault.Input {
			t.Errorf("the channel: got %v", err)
		}
		// A customer who accepts it is asked alone, and the number still names it.
		if err := promote("acme-prod", "acme"); err != nil {
			t.Errorf("for a customer: got %v", err)
		}
		judge(judgement("acme", "a token"))
		if err := promote("acme-test", "acme"); fault.KindOf(err) != fault.Gate {
			t.Errorf("rejected for a customer: got %v", err)
		}
		if _, err := c.Resolve(ctx, v.Ref(), catalog.RefuseRevoked); err != nil {
			t.Error(err)
		}
		// The channel that had it before gives it to nobody who uses it.
		if _, err := c.Resolve(ctx, "web:acme-prod", catalog.RefuseRevoked); fault.KindOf(err) != fault.Gate || !strings.Contains(err.Error(), "a token") {
			t.Errorf("rejected in its channel: got %v", err)
		}
		if got, err := c.Resolve(ctx, "web:acme-prod", catalog.AllowRevoked); err != nil || got.Ref() != v.Ref() {
			t.Errorf("who looks: got %v, %v", got, err)
		}
		// After a change of waivers it is accepted, though the clocks disagree.
		accepted := judge(judgement(""))
		if accepted.Rejects() || !accepted.When.After(first.When) {
			t.Errorf("got %+v", accepted)
		}
		if err := promote("released", ""); err != nil {
			t.Error(err)
		}
		all, err := open(t, cfg).Verdicts(ctx, v)
		if err != nil || len(all) != 3 || all[2].For != "acme" {
			t.Errorf("got %v, %v", all, err)
		}
	})
}

func TestAVerdictThatCannotBeBelievedStops(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg catalog.Config) {
		ctx := context.Background()
		key, trust := signingtest.Keyring(t, "release")
		stranger, strangers := signingtest.Keyring(t, "stranger")
		cfg.Trust = trust
		c := open(t, cfg)
		v := mustBake(t, c, "web", "one", nil)
		if _, err := c.Judge(ctx, v, judgement("", "a token"), catalog.Keys{stranger}); fault.KindOf(err) != fault.Input {
			t.Errorf("a key that is not trusted: got %v", err)
		}
		cfg.Trust = strangers
		if _, err := open(t, cfg).Judge(ctx, v, judgement("", "a token"), catalog.Keys{stranger}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Promote(ctx, v, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked); fault.KindOf(err) != fault.World {
			t.Errorf("got %v", err)
		}
	})
}

func TestAVerdictOfTheFutureStops(t *testing.T) {
	ctx := t.Context()
	key, trust := signingtest.Keyring(t, "release")
	c := open(t, catalog.Config{Location: t.TempDir(), Trust: trust})
	v := mustBake(t, c, "web", "one", nil)
	j := judgement("", "a token")
	j.When = time.Now().Add(time.Hour)
	if _, err := c.Judge(ctx, v, j, catalog.Keys{key}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verdict(ctx, v, ""); fault.KindOf(err) != fault.World {
		t.Errorf("got %v", err)
	}
}

// TestARejectionTakenAwayIsNoticed puts a catalog back to what it was before a
// version was rejected.
func TestARejectionTakenAwayIsNoticed(t *testing.T) {
	ctx := t.Context()
	key, trust := signingtest.Keyring(t, "release")
	cfg := catalog.Config{Location: t.TempDir(), Trust: trust, Memory: filepath.Join(t.TempDir(), "memory")}
	c := open(t, cfg)
	v := mustBake(t, c, "web", "one", nil)
	index := filepath.Join(cfg.Location, "web", "index.json")
	before, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Judge(ctx, v, judgement("", "a token"), catalog.Keys{key}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verdict(ctx, v, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(index, before, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, cfg).Promote(ctx, v, promotion("released"), catalog.Keys{key}, catalog.RefuseRevoked)
	if fault.KindOf(err) != fault.World || !strings.Contains(fault.HintOf(err), cfg.Memory) {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}
