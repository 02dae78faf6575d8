package system_test

import (
	"encoding/binary"
	"path"
	"strings"
	"testing"
	"unicode/utf16"

	"imgbuild/provisioners/system"
)

const (
	junction = 0xA0000003
	symlink  = 0xA000000C
)

// reparse is the data of a reparse point as [MS-FSCC] 2.1.2.4 and 2.1.2.5 have it:
// the name that counts, then the one that is shown.
func reparse(tag uint32, target, shown string, relative bool) []byte {
	count, show := utf16.Encode([]rune(target)), utf16.Encode([]rune(shown))
	var names []byte
	for _, u := range append(count, show...) {
		names = binary.LittleEndian.AppendUint16(names, u)
	}
	head := []uint16{0, uint16(2 * len(count)), uint16(2 * len(count)), uint16(2 * len(show))}
	if tag == symlink {
		flag := uint16(0)
		if relative {
			flag = 1
		}
		head = append(head, flag, 0)
	}
	out := binary.LittleEndian.AppendUint32(nil, tag)
	out = binary.LittleEndian.AppendUint16(out, uint16(2*len(head)+len(names)))
	out = append(out, 0, 0)
	for _, u := range head {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return append(out, names...)
}

func TestWhereLinksOfWindowsLead(t *testing.T) {
	for _, c := range []struct {
		tag      uint32
		target   string
		relative bool
		want     string
	}{
		{symlink, `\??\C:\Windows\Temp`, false, "/C:/Windows/Temp"},
		{symlink, `\??\C:\`, false, "/C:"},
		{symlink, `..\a\b`, true, "../a/b"},
		{symlink, `\a`, true, `\a`},
		{symlink, `C:a`, true, `C:a`},
		{symlink, `\??\UNC\server\share`, false, `\??\UNC\server\share`},
		{symlink, `\??\C:\a:stream`, false, `\??\C:\a:stream`},
		{junction, `\??\D:\data\..\x`, false, "/D:/x"},
		{junction, `\??\Volume{1}\`, false, `\??\Volume{1}\`},
		{junction, `\??\C:`, false, "/C:"},
	} {
		got, err := system.LinkTarget(reparse(c.tag, c.target, "shown", c.relative))
		if err != nil || got != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.target, got, err, c.want)
		}
	}
	good := reparse(symlink, `\??\C:\x`, `C:\x`, false)
	for name, bad := range map[string][]byte{
		"nothing": nil, "short": good[:15], "cut": good[:len(good)-1], "of another kind": reparse(0x8000001B, "x", "", false),
		"empty": reparse(symlink, "", "", false), "zero": reparse(junction, "a\x00b", "", false), "with a slash": reparse(symlink, "/etc", "", true),
		"beyond": append(append([]byte{}, good[:8]...), append([]byte{0xff, 0x0f}, good[10:]...)...),
	} {
		if got, err := system.LinkTarget(bad); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// FuzzLinkTarget holds that no reparse point leads anywhere but to a name that is
// resolved from the root, or to one that no part of a path can have.
func FuzzLinkTarget(f *testing.F) {
	for _, target := range []string{`\??\C:\a`, `..\b`, `\??\Volume{1}\`, `a/../b`} {
		f.Add(reparse(symlink, target, "x", strings.HasPrefix(target, ".")))
		f.Add(reparse(junction, target, "", false))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		target, err := system.LinkTarget(data)
		if err != nil || strings.ContainsAny(target, `\:`) && !path.IsAbs(target) {
			return
		}
		if target == "" || strings.ContainsAny(target, "\\\x00") {
			t.Errorf("%q", target)
		}
		if path.IsAbs(target) && (path.Clean(target) != target || target[2] != ':' || strings.Contains(target[3:], ":")) {
			t.Errorf("%q", target)
		}
	})
}

func TestNamesThatWindowsTakesForOthers(t *testing.T) {
	for _, name := range []string{`..\..\Windows`, `a\b`, "file:stream", "C:", "a*", "a?b", "a\x01", `a"b`, "a|b", "<", ">"} {
		if system.CheckWindowsName(name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for _, name := range []string{"NUL", "nul.txt", "Con", "aux .log", "COM1", "lpt¹.x", "CONIN$", "end.", "end ", "", "a:b"} {
		if system.CheckNewWindowsName(name) == nil {
			t.Errorf("%q may be made", name)
		}
	}
	for _, name := range []string{"com", "com10", "console", "null", ".profile", "a b", "ü", "lpt", "x.con"} {
		if err := system.CheckNewWindowsName(name); err != nil {
			t.Errorf("%q may not be made: %v", name, err)
		}
	}
}

func TestBelowIsBlindToCase(t *testing.T) {
	for _, c := range []struct {
		dir, name, want string
		ok              bool
	}{
		{"", "/C:/a", "/C:/a", true}, {"/C:/Data", "/c:/data/x", "/x", true}, {"/C:/data", "/C:/data", "/", true},
		{"/C:/data", "/C:/data2/x", "", false}, {"/C:/data", "/D:/data", "", false}, {"/C:", "/C:/x", "/x", true},
	} {
		got, ok := system.Below(c.dir, c.name)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s in %s: %q, %v", c.name, c.dir, got, ok)
		}
	}
}
