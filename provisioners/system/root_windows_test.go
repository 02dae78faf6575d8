package system_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"imgbuild/provisioners/system"
)

// These run on Windows, and in builder/proofguest on Wine.

// openRoot gives a new directory as a system, and its name on the drive.
func openRoot(t *testing.T) (*system.Root, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := system.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return r, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, s system.System, name, text string) {
	t.Helper()
	must(t, s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}))
}

func text(t *testing.T, r system.Reader, name string) string {
	t.Helper()
	data, err := system.ReadFile(r, name, 1<<20)
	must(t, err)
	return string(data)
}

func TestFilesOfWindows(t *testing.T) {
	r, dir := openRoot(t)
	must(t, system.MkdirAll(r, "/a/b c/ü"))
	write(t, r, "/a/b c/ü/f.txt", "one\r\n")
	if got := text(t, r, "/A/B C/Ü/F.TXT"); got != "one\r\n" {
		t.Errorf("by another case: %q", got)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a", "b c", "ü", "f.txt")); err != nil || string(got) != "one\r\n" {
		t.Errorf("as others read it: %q, %v", got, err)
	}
	info, err := r.Lstat("/a/b c/ü/f.txt")
	must(t, err)
	if info.Mode != 0 || info.UID != 0 || info.GID != 0 || info.Size != 5 || info.Links != 1 || info.Inode == 0 || info.ModTime < 1e9 {
		t.Errorf("a file: %+v", info)
	}
	for _, at := range []time.Time{time.Unix(1700000000, 999), time.Unix(-1, 5e8)} {
		must(t, os.Chtimes(filepath.Join(dir, "a", "b c", "ü", "f.txt"), at, at))
		if info, err = r.Lstat("/a/b c/ü/f.txt"); err != nil || info.ModTime != at.Unix() {
			t.Errorf("the time of %v: %d, %v", at, info.ModTime, err)
		}
	}
	info, err = r.Stat("/a")
	must(t, err)
	if info.Mode != fs.ModeDir {
		t.Errorf("a directory: %+v", info)
	}
	must(t, os.Link(filepath.Join(dir, "a", "b c", "ü", "f.txt"), filepath.Join(dir, "again")))
	first, err := r.Lstat("/again")
	must(t, err)
	second, err := r.Lstat("/a/b c/ü/f.txt")
	must(t, err)
	if first.Links != 2 || first.Inode != second.Inode || first.FileSystem != second.FileSystem {
		t.Errorf("two names of one file: %+v, %+v", first, second)
	}
	names, err := r.ReadDir("/")
	must(t, err)
	if !slices.Equal(names, []string{"a", "again"}) {
		t.Errorf("listed: %q", names)
	}
	if _, err := r.Open("/a"); err == nil {
		t.Error("a directory opens as a file")
	}
	if _, err := r.ReadDir("/again"); err == nil {
		t.Error("a file is listed")
	}
	if _, err := r.Readlink("/again"); err == nil {
		t.Error("a file is a link")
	}
	for _, missing := range []string{"/none", "/none/below", "/again/below"} {
		if _, err := r.Lstat(missing); missing != "/again/below" && !errors.Is(err, fs.ErrNotExist) || err == nil {
			t.Errorf("%s: %v", missing, err)
		}
	}
}

func TestWritingOnWindowsIsWholeOrNothing(t *testing.T) {
	r, dir := openRoot(t)
	write(t, r, "/f", "old")
	broken := io.MultiReader(strings.NewReader("new"), errReader{})
	if err := r.WriteFile("/f", broken, system.Attr{}); err == nil || text(t, r, "/f") != "old" {
		t.Errorf("cut off: %v, %q", err, text(t, r, "/f"))
	}
	must(t, os.WriteFile(filepath.Join(dir, "f.imgbuild-new"), []byte("of an earlier run"), 0o444))
	write(t, r, "/f", "new")
	must(t, os.Chmod(filepath.Join(dir, "f"), 0o444)) // read-only
	write(t, r, "/f", "newer")
	if got := text(t, r, "/f"); got != "newer" {
		t.Errorf("got %q", got)
	}
	if names, err := r.ReadDir("/"); err != nil || !slices.Equal(names, []string{"f"}) {
		t.Errorf("left: %q, %v", names, err)
	}
	must(t, r.Mkdir("/d", system.Attr{Mode: 0o755}))
	write(t, r, "/d/x", "")
	for name, err := range map[string]error{
		"file over a directory":  r.WriteFile("/d", strings.NewReader(""), system.Attr{}),
		"directory over another": r.Mkdir("/d", system.Attr{}),
		"directory over a file":  r.Mkdir("/f", system.Attr{}),
		"below nothing":          r.WriteFile("/none/f", strings.NewReader(""), system.Attr{}),
		"below a file":           r.WriteFile("/f/f", strings.NewReader(""), system.Attr{}),
		"mode":                   r.Chmod("/f", 0o600),
		"owner":                  r.Chown("/f", 1, 1),
		"link":                   r.Symlink("/f", "/l"),
		"the root":               r.Remove("/"),
	} {
		if err == nil {
			t.Errorf("%s: done", name)
		}
	}
	must(t, r.Remove("/none"))
	must(t, system.MkdirAll(r, "/d/e/f"))
	must(t, os.WriteFile(filepath.Join(dir, "d", "e", "read-only"), nil, 0o444))
	must(t, r.Remove("/d"))
	must(t, r.Remove("/d"))
	if _, err := os.Stat(filepath.Join(dir, "d")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestWindowsNamesAreTakenWordForWord(t *testing.T) {
	r, dir := openRoot(t)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "outside"), []byte("secret"), 0o600))
	write(t, r, "/f", "text")
	for _, name := range []string{`/..\outside`, `/x\..\..\outside`, "/f:stream", "/f::$DATA", "/C:", "/f/.", "f", "/*", `/\\.\C:`, "/a\x00"} {
		if f, err := r.Open(name); err == nil {
			f.Close()
			t.Errorf("%q opens", name)
		}
		if err := r.WriteFile(name, strings.NewReader("x"), system.Attr{}); err == nil {
			t.Errorf("%q is written", name)
		}
		if err := r.Remove(name); err == nil {
			t.Errorf("%q is removed", name)
		}
	}
	for _, name := range []string{"/NUL", "/nul.txt", "/COM1", "/end.", "/end "} {
		if err := r.WriteFile(name, strings.NewReader("x"), system.Attr{}); err == nil {
			t.Errorf("%q is written", name)
		}
	}
	if got := text(t, r, "/f"); got != "text" {
		t.Errorf("changed: %q", got)
	}
}

func TestTheWholeWindowsIsItsDrives(t *testing.T) {
	all, err := system.OpenRoot("/")
	must(t, err)
	defer all.Close()
	names, err := all.ReadDir("/")
	must(t, err)
	if !slices.Contains(names, "C:") {
		t.Errorf("drives: %q", names)
	}
	_, dir := openRoot(t)
	name := path.Join("/"+filepath.ToSlash(dir), "f")
	write(t, all, name, "text")
	if got := text(t, all, name); got != "text" {
		t.Errorf("%s: %q", name, got)
	}
	if info, err := all.Stat("/C:/windows/system32"); err != nil || !info.Mode.IsDir() {
		t.Errorf("%+v, %v", info, err)
	}
	c, err := system.OpenRoot("C:")
	must(t, err)
	defer c.Close()
	if _, err := c.Lstat("/windows/system32"); err != nil {
		t.Errorf("C: is not its root: %v", err)
	}
	// That it is not there would let a control pass which wants it absent.
	for _, name := range []string{"/etc/passwd", "/windows"} {
		if _, err := all.Lstat(name); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "begins with a drive") {
			t.Errorf("%s: %v", name, err)
		}
		if err := all.WriteFile(name, strings.NewReader(""), system.Attr{}); err == nil {
			t.Errorf("%s is written", name)
		}
	}
	if err := all.WriteFile("/f", strings.NewReader(""), system.Attr{}); err == nil {
		t.Error("a file is written beside the drives")
	}
	if err := all.Remove("/C:"); err == nil {
		t.Error("a drive is removed")
	}
	for _, dir := range []string{`\\server\share`, `C:\none`, filepath.Join(dir, "f")} {
		if _, err := system.OpenRoot(dir); err == nil {
			t.Errorf("%s opens", dir)
		}
	}
}

func TestWindowsTellsWhoMayDoWhat(t *testing.T) {
	r, dir := openRoot(t)
	write(t, r, "/f", "old")
	stock, err := r.Xattrs("/f")
	must(t, err)
	owner, _, _ := strings.Cut(strings.TrimPrefix(stock["windows.security"], "O:"), "G:")
	// Nobody but the owner.
	wanted, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;" + owner + ")")
	must(t, err)
	name, err := windows.UTF16PtrFromString(filepath.Join(dir, "f"))
	must(t, err)
	h, err := windows.CreateFile(name, windows.WRITE_DAC, windows.FILE_SHARE_READ, nil, windows.OPEN_EXISTING, 0, 0)
	must(t, err)
	must(t, windows.SetKernelObjectSecurity(h, windows.DACL_SECURITY_INFORMATION, wanted))
	must(t, windows.CloseHandle(h))
	before, err := r.Xattrs("/f")
	must(t, err)
	if before["windows.security"] == stock["windows.security"] || !strings.Contains(before["windows.security"], owner+")") {
		t.Errorf("the access list is not told: %q, before %q", before, stock)
	}
	write(t, r, "/f", "new")
	after, err := r.Xattrs("/f")
	must(t, err)
	if after["windows.security"] != before["windows.security"] {
		t.Errorf("replaced: %q, before %q", after, before)
	}
	write(t, r, "/plain", "")
	plain, err := r.Xattrs("/plain")
	must(t, err)
	if plain["windows.security"] == "" || plain["windows.security"] == after["windows.security"] || plain["windows.flags"] != "" {
		t.Errorf("new: %q, the other %q", plain, after)
	}
	must(t, os.Chmod(filepath.Join(dir, "plain"), 0o444))
	if plain, err = r.Xattrs("/plain"); err != nil || plain["windows.flags"] != "R" {
		t.Errorf("read-only: %q, %v", plain, err)
	}
	if of, err := r.Xattrs("/"); err != nil || of["windows.security"] == "" {
		t.Errorf("the root: %q, %v", of, err)
	}
}
