package distro

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockFile = "/etc/.pwd.lock"
	lockWait = 15 * time.Second // lckpwdf(3)
	lockPoll = 50 * time.Millisecond
)

// lockAccounts takes the lock of lckpwdf(3), which passwd(1), useradd(8) and
// their kin hold while they edit the account files.
func (d *Distro) lockAccounts() (unlock func(), err error) {
	if err := d.Root.Append(lockFile, nil, 0o600); err != nil {
		return nil, fmt.Errorf("lock accounts: %w", err)
	}
	name, err := d.Root.Path(lockFile)
	if err != nil {
		return nil, fmt.Errorf("lock accounts: %w", err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("lock accounts: %w", err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	for begin := time.Now(); ; {
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
		if err == nil {
			return func() { f.Close() }, nil
		}
		busy := errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES)
		if !busy || time.Since(begin) > lockWait {
			f.Close()
			return nil, fmt.Errorf("lock accounts: %w", err)
		}
		time.Sleep(lockPoll)
	}
}
