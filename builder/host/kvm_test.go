package host_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"imgbuild/builder/host"
)

// TestAGuestDoesNotOutliveItsProgram kills a program that probes KVM while its
// guest hangs: nothing of it is left.
func TestAGuestDoesNotOutliveItsProgram(t *testing.T) {
	const probing = "IMGBUILD_TEST_PROBING"
	if os.Getenv(probing) != "" {
		t.Log(host.KVM(context.Background()))
		return
	}
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// It holds the pipe open as long as it lives.
	script := "#!/bin/sh\nexec sleep 60 >" + pipe + "\n"
	if err := os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	program := exec.Command(os.Args[0], "-test.run=^TestAGuestDoesNotOutliveItsProgram$")
	files := t.TempDir()
	program.Env = append(os.Environ(), probing+"=1", "TMPDIR="+files, "PATH="+dir+":"+os.Getenv("PATH"))
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer program.Wait()
	held, err := os.OpenFile(pipe, os.O_RDONLY, 0) // waits until the guest runs
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := held.Read(make([]byte, 1))
		ended <- err
	}()
	select {
	case <-ended: // the end of the file: nobody holds it any more
	case <-time.After(20 * time.Second):
		t.Error("the guest lives on")
	}
	if left, err := os.ReadDir(files); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
}
