package kernel_test

import (
	"context"
	"testing"

	"imgbuild/provisioners/kernel"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// hold applies a resource to files that anyone may have written: either they
// cannot be read, and the check says so, or the state is reached at once.
func hold(t *testing.T, r resource, s system.System) {
	t.Helper()
	ctx := context.Background()
	if _, err := r.Check(ctx, s); err != nil {
		return
	}
	if _, err := r.Apply(ctx, s); err != nil {
		t.Fatalf("what was checked cannot be applied: %v", err)
	}
	if after, err := r.Check(ctx, s); err != nil || len(after) > 0 {
		t.Fatalf("after it was applied: %v, %v", after, err)
	}
	if again, err := r.Apply(ctx, s); again || err != nil {
		t.Fatalf("a second time: %v, %v", again, err)
	}
}

func text(t term.Text) *term.Text { return &t }

func FuzzSysctls(f *testing.F) {
	f.Add("net.ipv4.ip_forward = 1\n", "-net.ipv4.ip_forward", "net/ipv4/ip_forward=2")
	f.Fuzz(func(t *testing.T, mine, vendor, conf string) {
		s := memory(t, map[string]string{
			"/etc/sysctl.d/99-zz-imgbuild.conf": mine, "/etc/sysctl.d/zz.conf": conf, "/usr/lib/sysctl.d/zzz.conf": vendor, "/etc/sysctl.conf": conf,
		})
		hold(t, &kernel.Sysctl{Key: "net/ipv4/ip_forward", Bounds: term.Bounds{Value: text("0")}}, s)
	})
}

func FuzzModules(f *testing.F) {
	f.Add("install usb-storage /bin/true\nblacklist usb_storage", "install usb* x\\\n y")
	f.Fuzz(func(t *testing.T, mine, vendor string) {
		s := memory(t, map[string]string{
			"/etc/modprobe.d/00-imgbuild.conf": mine, "/usr/lib/modprobe.d/00.conf": vendor, "/etc/modules-load.d/imgbuild.conf": vendor,
		})
		hold(t, &kernel.Module{Name: "usb-storage", State: "blocked"}, s)
		opened := &kernel.Module{Name: "usb-storage", State: "loaded"}
		if _, err := opened.Apply(context.Background(), s); err == nil {
			hold(t, opened, s)
		}
	})
}

func FuzzMenu(f *testing.F) {
	f.Add(menu)
	f.Add("linux /k a b=1 -- c\n")
	f.Fuzz(func(t *testing.T, have string) {
		for _, a := range []*kernel.Argument{
			{Name: "a", Bounds: term.Bounds{Value: text("1")}}, {Name: "b", Bounds: term.Bounds{AtLeast: text("5")}},
			{Name: "c"}, {Name: "a", Bounds: term.Bounds{Absent: true}},
		} {
			s := memory(t, map[string]string{"/boot/grub/grub.cfg": have})
			if _, err := a.Apply(context.Background(), s); err == nil {
				hold(t, a, s)
			}
		}
	})
}
