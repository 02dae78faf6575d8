package builder_test

import (
	"testing"

	"imgbuild/images/updates"
)

// TestAIDERecordsTheSealedRoot says that machines with aide have its database
// in the root of their disks, and that they are still called by their seal.
func TestAIDERecordsTheSealedRoot(t *testing.T) {
	without := goldenPlan(t, nil, nil)
	with := goldenPlan(t, nil, bootsWithAIDE)
	for _, s := range without.Steps() {
		if s.Kind == "aide" {
			t.Error("a plan without the package makes its database")
		}
	}
	end := with.Boot[len(with.Boot)-1]
	if end.Kind != "aide" {
		t.Fatalf("the disk's root ends with %s", end.Kind)
	}
	if seal := with.Boot[len(with.Boot)-2]; end.Parent != seal.ID() || with.BootStage() != seal.ID() {
		t.Errorf("the database stands on %s, servers are called %s, and the seal is %s", end.Parent, with.BootStage(), seal.ID())
	}
	if with.Disk.Parent != end.ID() {
		t.Errorf("the disk is made of %s, not of what aide left", with.Disk.Parent)
	}
	if evidence := with.Evidence[len(with.Evidence)-1]; evidence.Parent != end.ID() {
		t.Errorf("the disk's evidence speaks of %s, not of what aide left", evidence.Parent)
	}
}

// bootsWithAIDE gives a lock the package that machines have the database for.
func bootsWithAIDE(l *updates.Lock) {
	for i := range l.Packages {
		if l.Packages[i].Name == "systemd-sysv" && l.Packages[i].Set == updates.Boot {
			l.Packages[i].Name = "aide"
		}
	}
}
