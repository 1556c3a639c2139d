package container

import (
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The system call filter refuses what root over its own namespaces could still
// do to the kernel that it shares: mounts, further namespaces, modules, and
// the calls that container runtimes refuse by default (moby:
// profiles/seccomp/default.json, 27). A call that is newer than [newestCall]
// does not exist for an instance, so that nothing slips in with a new kernel.

// newestCall is the highest number that the lists here were checked against;
// new calls have the same number on every architecture.
const newestCall = unix.SYS_RSEQ_SLICE_YIELD

// deniedCalls fail with EPERM, on every architecture.
var deniedCalls = []uint32{
	// Mounts.
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_FSOPEN, unix.SYS_FSMOUNT,
	unix.SYS_FSCONFIG, unix.SYS_FSPICK, unix.SYS_OPEN_TREE, unix.SYS_OPEN_TREE_ATTR,
	unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_OPEN_BY_HANDLE_AT,
	// Namespaces; clone and unshare are looked at more closely.
	unix.SYS_SETNS, unix.SYS_LISTNS,
	// The kernel itself.
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD,
	unix.SYS_KEXEC_FILE_LOAD, unix.SYS_REBOOT, unix.SYS_SYSLOG, unix.SYS_ACCT,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
	// Wide surfaces.
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_FANOTIFY_INIT,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES, unix.SYS_PIDFD_GETFD, unix.SYS_NFSSERVCTL,
}

// namespaceFlags are the flags of clone and unshare that make namespaces.
const namespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// cloneNewTime makes a time namespace. It is a flag of unshare; clone has
// another meaning for it.
const cloneNewTime = unix.CLONE_NEWTIME

// families are the sorts of socket that an instance may have: what belongs to
// its network namespace.
var families = []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET}

// Offsets in struct seccomp_data; an argument's low half comes first on both
// architectures. seccomp(2)
const (
	offCall = 0
	offArch = 4
	offArg0 = 16
)

const (
	allow  = unix.SECCOMP_RET_ALLOW
	eperm  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	enofam = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)
)

// filter returns the program for this architecture. One of another, such as a
// 32-bit program, is killed: the numbers would mean other calls.
func filter() []bpf.Instruction {
	f := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: offCall, Size: 4},
		// The x32 calls have high numbers too.
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: newestCall, SkipFalse: 1},
		bpf.RetConstant{Val: enosys},
	}
	for _, call := range slices.Concat(deniedCalls, deniedHere) {
		f = append(f, ifCall(call, bpf.RetConstant{Val: eperm})...)
	}
	// Its flags are in memory, out of sight; the C library falls back to clone.
	f = append(f, ifCall(unix.SYS_CLONE3, bpf.RetConstant{Val: enosys})...)
	f = append(f, ifCall(unix.SYS_CLONE, ifAnyBit(namespaceFlags)...)...)
	f = append(f, ifCall(unix.SYS_UNSHARE, ifAnyBit(namespaceFlags|cloneNewTime)...)...)
	f = append(f, ifCall(unix.SYS_SOCKET, onlyFamilies()...)...)
	return append(f, bpf.RetConstant{Val: allow})
}

// ifCall runs then, which must return, for one call.
func ifCall(call uint32, then ...bpf.Instruction) []bpf.Instruction {
	jump := bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call, SkipTrue: uint8(len(then))}
	return append([]bpf.Instruction{jump}, then...)
}

func ifAnyBit(bits uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArg0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: bits, SkipFalse: 1},
		bpf.RetConstant{Val: eperm},
		bpf.RetConstant{Val: allow},
	}
}

func onlyFamilies() []bpf.Instruction {
	f := []bpf.Instruction{bpf.LoadAbsolute{Off: offArg0, Size: 4}}
	for i, family := range families {
		f = append(f, bpf.JumpIf{Cond: bpf.JumpEqual, Val: family, SkipTrue: uint8(len(families) - i)})
	}
	return append(f, bpf.RetConstant{Val: enofam}, bpf.RetConstant{Val: allow})
}
