package report_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"imgbuild/images/control"
	"imgbuild/images/report"
)

// browser is Chromium with one page open.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu sync.Mutex
	// said are errors and everything else on the console, asked what was
	// requested.
	said, asked []string
}

// open shows a report to somebody with a screen that wide.
func open(t *testing.T, r, before *report.Report, width int64) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	file := filepath.Join(t.TempDir(), "report.html")
	text := written(t, func(w io.Writer) error { return report.Page(w, r, before) })
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	// Chromium's own sandbox is neither for root nor for containers; the page is ours.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b := &browser{t: t}
	ctx, _ = chromedp.NewContext(ctx, chromedp.WithListener(b.note))
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	b.ctx = ctx
	b.run() // starts it
	call(b, log.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	b.run(chromedp.EmulateViewport(width, 900), chromedp.Navigate("file://"+file))
	return b
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, fmt.Sprint(e.Type, e.Args))
	case *log.EventEntryAdded:
		b.said = append(b.said, e.Entry.Text)
	case *page.EventJavascriptDialogOpening:
		b.said = append(b.said, "a dialog: "+e.Message)
	}
}

func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// call gives a command of Chromium's protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

// slash presses a key as a keyboard does: what the page makes of it decides whether
// it is typed.
func (b *browser) slash() {
	b.t.Helper()
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "/", Text: "/"})
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: "/"})
}

// tell is the value of an expression of JavaScript.
func tell[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// rule is one that is to be seen.
type rule struct{ Is, Severity, Text, Sections string }

// shown are the rules that are to be seen.
func (b *browser) shown() []rule {
	b.t.Helper()
	return tell[[]rule](b, `[...document.querySelectorAll(".rule")].filter(r => r.checkVisibility()).map(r => ({
		Is: r.dataset.is, Severity: r.querySelector(".dim").textContent, Text: r.textContent, Sections: r.dataset.sections}))`)
}

// look keeps what the page looks like, for a person to look at.
func (b *browser) look(name string) {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	image, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		b.t.Fatal(err)
	}
	colours := map[any]bool{}
	for y := range image.Bounds().Dy() {
		for x := range image.Bounds().Dx() {
			colours[image.At(x, y)] = true
		}
	}
	if len(colours) < 20 {
		b.t.Errorf("%s: the page is empty", name)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// quiet fails for everything that the browser had to say, and for what it asked
// of anybody else.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, said := range b.said {
		b.t.Errorf("the browser says: %s", said)
	}
	if len(b.asked) != 1 || !strings.HasPrefix(b.asked[0], "file://") {
		b.t.Errorf("the browser asked for %q", b.asked)
	}
}

func TestThePageIsFilteredInABrowser(t *testing.T) {
	r, before := whole(t), whole(t)
	before.Target = "debian-12-nginx:20261127.1"
	changed := 0
	for i := range before.Findings {
		if before.Findings[i].Result == control.Fail {
			before.Findings[i].Result, changed = control.Pass, changed+1
		}
	}
	b := open(t, r, before, 1280)
	all := b.shown()
	count := func(match func(rule) bool) int {
		n := 0
		for _, r := range all {
			if match(r) {
				n++
			}
		}
		return n
	}
	// expect holds what is to be seen against all that matches.
	expect := func(what string, match func(rule) bool) {
		t.Helper()
		got, want := b.shown(), count(match)
		for _, r := range got {
			if !match(r) {
				t.Errorf("%s: %s %s %.80s is to be seen", what, r.Is, r.Severity, r.Text)
			}
		}
		if len(got) != want || want == 0 || want == len(all) {
			t.Errorf("%s: %d rules are to be seen of %d, want %d", what, len(got), len(all), want)
		}
		if said := tell[string](b, `document.querySelector(".rules output").textContent`); !strings.HasPrefix(said, fmt.Sprintf("%d of %d rules", want, len(all))) {
			t.Errorf("%s: the page says %q", what, said)
		}
	}
	failed := func(r rule) bool { return r.Is == "fail" }
	high := func(r rule) bool { return r.Severity == "high" || r.Severity == "critical" }
	if len(all) < 300 || !failed(all[0]) || all[len(all)-1].Is != string(control.NotApplicable) {
		t.Errorf("%d rules, from %s to %s", len(all), all[0].Is, all[len(all)-1].Is)
	}
	b.look("all")

	b.run(chromedp.Click(chromedp.CSS(`[data-result="fail"]`)))
	expect("fail", failed)
	b.look("fail")
	b.run(chromedp.Focus(chromedp.CSS(".rules select")), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown))
	expect("fail, high", func(r rule) bool { return failed(r) && high(r) })
	b.run(chromedp.Click(chromedp.CSS(`[data-result=""]`)))
	expect("high", high)
	b.run(chromedp.Focus(chromedp.CSS(".rules select")), chromedp.KeyEvent(kb.Home))

	b.run(chromedp.Click(chromedp.CSS(`[data-chapter="cis-debian-12 5."]`)))
	expect("chapter 5", func(r rule) bool { return strings.Contains("|"+r.Sections, "|cis-debian-12 5.") })
	b.look("chapter")
	b.run(chromedp.Click(chromedp.CSS(`[data-chapter="cis-debian-12 5."]`)))

	b.run(chromedp.Click(chromedp.CSS("[data-changed]")))
	if got := b.shown(); len(got) != changed {
		t.Errorf("changed: %d rules, want %d", len(got), changed)
	}
	b.run(chromedp.Click(chromedp.CSS("[data-changed]")))

	// With the keyboard alone: a word, then the first rule is opened.
	tell[any](b, "document.activeElement.blur()")
	b.slash()
	b.run(chromedp.KeyEvent("SSHD Root"))
	expect("words", func(r rule) bool {
		return strings.Contains(strings.ToLower(r.Text), "sshd") && strings.Contains(strings.ToLower(r.Text), "root")
	})
	b.run(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	if n := tell[int](b, `document.querySelectorAll(".rule[open]").length`); n != 1 {
		t.Errorf("Enter has opened %d rules", n)
	}
	b.look("words")
	b.slash()
	b.run(chromedp.KeyEvent("no such word"))
	if len(b.shown()) != 0 || !tell[bool](b, `document.querySelector("main .empty").checkVisibility()`) {
		t.Error("of a word that is nowhere the page does not say that it is nowhere")
	}
	b.run(chromedp.KeyEvent(kb.Escape))
	if got := b.shown(); len(got) != len(all) {
		t.Errorf("Escape leaves %d rules of %d", len(got), len(all))
	}

	b.run(chromedp.Click(chromedp.CSS("[data-open]")))
	if n := tell[int](b, `[...document.querySelectorAll(".rule dl")].filter(d => !d.checkVisibility()).length`); n != 0 {
		t.Errorf("the evidence of %d rules cannot be seen", n)
	}
	if without := tell[[]string](b, `[...document.querySelectorAll(".rule")].filter(r => !/evidence/.test(r.textContent)).map(r => r.textContent)`); len(without) > 1 {
		t.Errorf("%d rules have no evidence: %q", len(without), without)
	}
	b.look("open")

	// Vulnerabilities have a filter of their own.
	sorts := func() []string {
		return tell[[]string](b, `[...document.querySelectorAll(".cve")].filter(c => c.checkVisibility()).map(c => c.dataset.sort)`)
	}
	every := sorts()
	if len(every) != len(r.Vulnerabilities) {
		t.Errorf("%d vulnerabilities of %d are to be seen", len(every), len(r.Vulnerabilities))
	}
	b.run(chromedp.Click(chromedp.CSS(`.cves [data-sort="dismissed"]`)))
	some := sorts()
	if len(some) == 0 || len(some) == len(every) || slices.ContainsFunc(some, func(s string) bool { return s != "dismissed" }) {
		t.Errorf("dismissed: %v", some)
	}
	b.run(chromedp.Click(chromedp.CSS(`.cves [data-sort=""]`)), chromedp.Click(chromedp.CSS(`.cves [data-only="exploited"]`)))
	if n := len(sorts()); n == 0 || n == len(every) {
		t.Errorf("exploited: %d of %d", n, len(every))
	}
	b.run(chromedp.Focus(chromedp.CSS(".cves input")), chromedp.KeyEvent("no such word"))
	if len(sorts()) != 0 || !tell[bool](b, `document.querySelector(".cves .empty").checkVisibility()`) {
		t.Error("vulnerabilities of a word that is nowhere are to be seen")
	}
	if got := b.shown(); len(got) != len(all) {
		t.Errorf("the filter of vulnerabilities hides rules: %d of %d", len(got), len(all))
	}
	b.quiet()
}

// contrast are the texts that have less than 4.5 to 1 against the page (Web Content
// Accessibility Guidelines 2.2, 1.4.3), with their ratios.
const contrast = `(() => {
	const channel = c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
	const light = css => { const [r, g, b] = css.match(/[\d.]+/g).map(Number); return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b); };
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c)) return c; } return "rgb(255, 255, 255)"; };
	const bad = {};
	for (const e of document.querySelectorAll("h1, h2, p, span, strong, button, dt, dd, summary, select, output")) {
		if (!e.textContent.trim() || !e.checkVisibility()) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) bad[e.tagName + "." + e.className] = ratio;
	}
	return bad;
})()`

// spilled are the texts that stand out of what they belong to, or over what stands
// beside them.
const spilled = `[...document.querySelectorAll(".scores span, .scores strong, .opinion summary span, .opinion p, .opinion li, .rule span, .rule dt, .rule dd, .filter *, .cve span, .cve li, .cves p")].filter(e => {
	if (!e.checkVisibility()) return false;
	const own = e.getBoundingClientRect(), around = e.closest("li, details, div, section").getBoundingClientRect();
	return own.right > around.right + 1 || e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline";
}).map(e => e.textContent.slice(0, 60))`

func TestThePageFitsEveryScreen(t *testing.T) {
	r, before := whole(t), whole(t)
	before.Target = "debian-12-nginx:20261127.1"
	for i := range before.Findings {
		if i%7 == 0 {
			before.Findings[i].Result = control.Fail
		}
	}
	for s := range before.Scores {
		before.Scores[s].Counts[control.Pass] += 10 * (s % 3)
	}
	b := open(t, r, before, 390)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 768, 1280} {
			name := fmt.Sprintf("%s %d", scheme, width)
			call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			b.run(chromedp.EmulateViewport(width, 900))
			if wide := tell[int64](b, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s: the page is %d wide", name, wide)
			}
			if bad := tell[map[string]float64](b, contrast); len(bad) > 0 {
				t.Errorf("%s: hard to read: %v", name, bad)
			}
			if spilled := tell[[]string](b, spilled); len(spilled) > 0 {
				t.Errorf("%s: %d texts spill: %.400q", name, len(spilled), spilled)
			}
			b.look(name)
		}
	}
	b.run(chromedp.EmulateViewport(390, 900), chromedp.Click(chromedp.CSS("[data-open]")))
	if wide := tell[int64](b, "document.documentElement.scrollWidth"); wide > 390 {
		t.Errorf("with all evidence the page is %d wide", wide)
	}
	tell[any](b, `document.querySelector(".rule").scrollIntoView()`)
	b.look("phone evidence")
	b.quiet()
}

func TestHostileTextStaysTextInABrowser(t *testing.T) {
	text := strings.Join([]string{hostile, `</script><img src=x onerror=alert(1)>`, `</style><svg onload=alert(1)>`,
		`" autofocus onfocus="alert(1)`, `' onclick='alert(1)`, `--><iframe src=x>`, `javascript:alert(1)`, "{{.Target}}"}, " ")
	r := found(t, text)
	r.Target, r.Platform = text, text
	b := open(t, r, r, 1280)
	if title := tell[string](b, `document.querySelector("h1").textContent`); title != text {
		t.Errorf("%q became %q", text, title)
	}
	if n := tell[int](b, `document.querySelectorAll("script, style, img, svg, iframe, link, a, [onfocus], [onerror], [onclick]").length`); n != 2 {
		t.Errorf("%d elements are not of the page", n-2)
	}
	b.run(chromedp.Click(chromedp.CSS("[data-open]")))
	b.quiet()
}
