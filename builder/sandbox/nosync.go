package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flushes are the system calls by which programs wait for the disk.
var flushes = []uint32{
	unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC, unix.SYS_SYNCFS, unix.SYS_SYNC_FILE_RANGE, unix.SYS_MSYNC,
}

// skipFlushes lets this thread, and what it becomes, call flushes that do
// nothing and say they succeeded. What a sandbox writes is thrown away when the
// machine stops before the stage is settled, so nothing in it has to wait for
// the disk. The filter is a program of seccomp(2); a kernel without it flushes.
func skipFlushes() error {
	const (
		load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
		numberAt, archAt    = 0, 4 // struct seccomp_data
	)
	program := []unix.SockFilter{
		{Code: load, K: archAt},
		// Numbers mean something else to programs of another architecture.
		{Code: equal, K: auditArch, Jf: uint8(len(flushes) + 1)},
		{Code: load, K: numberAt},
	}
	for i, number := range flushes {
		program = append(program, unix.SockFilter{Code: equal, K: number, Jt: uint8(len(flushes) - i)})
	}
	program = append(program,
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO}, // with the error 0
	)
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("skipping flushes: %w", err)
	}
	return nil
}
