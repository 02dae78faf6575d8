package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// skipped are the system calls by which programs wait for the disk. They do
// nothing and say they succeeded: what a sandbox writes is thrown away when the
// machine stops before the stage is settled, so nothing in it has to wait.
var skipped = []uint32{
	unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC, unix.SYS_SYNCFS, unix.SYS_SYNC_FILE_RANGE, unix.SYS_MSYNC,
}

// refused are system calls that reach what no namespace holds: files of the
// host by their handles, and the host's keyrings.
var refused = []uint32{
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
}

// x32 is the first number of the calls of amd64's other interface, which has
// numbers of its own; arm64 has none so high.
const x32 = 0x40000000

// filterCalls binds this thread, and what it becomes or starts, to the lists
// above, by a program of seccomp(2). Programs for another machine, to whom the
// numbers mean something else, are refused every call.
func filterCalls() error {
	const (
		load, equal, atLeast = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		answer               = unix.BPF_RET | unix.BPF_K
		numberAt, archAt     = 0, 4 // struct seccomp_data
	)
	var program []unix.SockFilter
	add := func(code uint16, k uint32, jt, jf uint8) {
		program = append(program, unix.SockFilter{Code: code, K: k, Jt: jt, Jf: jf})
	}
	// An answer follows each question, so that every jump is one step.
	add(load, archAt, 0, 0)
	add(equal, auditArch, 1, 0)
	add(answer, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS), 0, 0)
	add(load, numberAt, 0, 0)
	add(atLeast, x32, 0, 1)
	add(answer, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS), 0, 0)
	for _, number := range skipped {
		add(equal, number, 0, 1)
		add(answer, unix.SECCOMP_RET_ERRNO, 0, 0) // with the error 0
	}
	for _, number := range refused {
		add(equal, number, 0, 1)
		add(answer, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM), 0, 0)
	}
	add(answer, unix.SECCOMP_RET_ALLOW, 0, 0)
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0)
	if errors.Is(err, unix.EINVAL) {
		return errors.New("filtering system calls: this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)")
	}
	if err != nil {
		return fmt.Errorf("filtering system calls: %w", err)
	}
	return nil
}
