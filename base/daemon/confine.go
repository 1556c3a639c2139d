package daemon

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A worker that parses tenants' bytes needs few system calls once it runs:
// memory, threads, time, and its sockets. It opens no file, starts no program,
// maps no memory as code, and makes no socket but a unix one.

// workerCalls are allowed whatever their arguments; the frequent ones first.
func workerCalls() []uint32 {
	return []uint32{
		unix.SYS_FUTEX, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_EPOLL_PWAIT, unix.SYS_NANOSLEEP, unix.SYS_ACCEPT4,
		unix.SYS_CLOSE, unix.SYS_EPOLL_CTL, unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
		unix.SYS_CONNECT, unix.SYS_SHUTDOWN, unix.SYS_RECVMSG, unix.SYS_SENDMSG, unix.SYS_RECVFROM, unix.SYS_SENDTO,
		unix.SYS_GETSOCKOPT, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_FCNTL, unix.SYS_FSTAT,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2, unix.SYS_MADVISE, unix.SYS_MUNMAP, unix.SYS_MINCORE, unix.SYS_SCHED_YIELD,
		unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_GETUID, unix.SYS_GETRANDOM,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
		unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
		unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST, // the C library's threads, in tests
	}
}

// Offsets in struct seccomp_data; an argument's low half comes first on both
// architectures. seccomp(2)
const (
	offCall = 0
	offArch = 4
	offArgs = 16
)

// Confine puts a system call filter on all threads of this process for good:
// what a worker does not need does not exist for it any more (ENOSYS). It
// needs no_new_privs, which [CheckUnprivileged] asserts.
func Confine() error {
	_, _ = time.Now().Zone() // while the file of the time zone can be read
	return InstallFilter(workerFilter(uint32(os.Getpid())))
}

// InstallFilter puts a system call filter on all threads of this process for
// good. It leaves no_new_privs alone, and so needs that or CAP_SYS_ADMIN over
// the user namespace. seccomp(2)
func InstallFilter(program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("assemble system call filter: %w", err)
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	arg := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	stuck, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return fmt.Errorf("install system call filter: %w", errno)
	}
	if stuck != 0 {
		return fmt.Errorf("install system call filter: thread %d has another", stuck)
	}
	return nil
}

// workerFilter is the program for this architecture. A call of another, whose
// numbers mean other calls, kills the process.
func workerFilter(pid uint32) []bpf.Instruction {
	allow, deny := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}, bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)}
	f := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: offCall, Size: 4},
	}
	for _, call := range workerCalls() {
		f = append(f, bpf.JumpIf{Cond: bpf.JumpEqual, Val: call, SkipFalse: 1}, allow)
	}
	// when allows a call if its argument meets the condition.
	when := func(call uint32, argument uint32, cond bpf.JumpTest, val uint32) {
		f = append(f,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: call, SkipFalse: 4},
			bpf.LoadAbsolute{Off: offArgs + 8*argument, Size: 4},
			bpf.JumpIf{Cond: cond, Val: val, SkipFalse: 1}, allow, deny)
	}
	when(unix.SYS_CLONE, 0, bpf.JumpBitsSet, unix.CLONE_THREAD)
	when(unix.SYS_MMAP, 2, bpf.JumpBitsNotSet, unix.PROT_EXEC)
	when(unix.SYS_MPROTECT, 2, bpf.JumpBitsNotSet, unix.PROT_EXEC)
	when(unix.SYS_TGKILL, 0, bpf.JumpEqual, pid)
	when(unix.SYS_SOCKET, 0, bpf.JumpEqual, unix.AF_UNIX)
	return append(f, deny)
}
