package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The skeleton is the root file system of [HostTree] but for /usr: a fresh
// Debian-like system of no users, whose programs are the machine's. From the
// machine's /etc it takes only what its programs need to work at all, and only
// files that every user may read.

// skeletonDirs are made with mode 0755 unless [skeletonModes] has another.
var skeletonDirs = []string{
	"boot", "dev", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr",
	"etc/alternatives", "etc/default", "etc/ld.so.conf.d", "etc/pam.d", "etc/profile.d", "etc/security",
	"etc/skel", "etc/ssh/sshd_config.d", "etc/ssl/certs", "etc/ssl/private", "etc/sudoers.d",
	"var/backups", "var/cache", "var/lib/misc", "var/lib/pam", "var/local", "var/log", "var/mail", "var/opt",
	"var/spool", "var/tmp",
}

var skeletonModes = map[string]uint32{
	"root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777, "etc/ssl/private": 0o700, "etc/sudoers.d": 0o750, "var/mail": 0o2775,
}

var skeletonLinks = map[string]string{
	"etc/localtime":  "/usr/share/zoneinfo/Etc/UTC",
	"etc/mtab":       "../proc/self/mounts",
	"etc/os-release": "../usr/lib/os-release",
	"var/lock":       "/run/lock",
	"var/run":        "/run",
	"var/spool/mail": "../mail",
}

// skeletonCopies are files and directories of the machine's /etc; directories
// are copied without those below them.
var skeletonCopies = []string{
	"adduser.conf", "bash.bashrc", "debian_version", "deluser.conf", "environment", "gai.conf", "host.conf",
	"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "login.defs", "pam.conf", "pam.d", "profile",
	"protocols", "rpc", "security", "services", "shells", "skel", "ssl/certs/ca-certificates.crt",
	"ssl/openssl.cnf", "xattr.conf",
}

// maxCopy bounds a file that is copied, in bytes.
const maxCopy = 4 << 20

type skeletonFile struct {
	text  string
	mode  uint32
	group int
}

const (
	groupShadow = 42 // Debian's base-passwd
	groupUtmp   = 43
	groupMail   = 8
)

var skeletonFiles = map[string]skeletonFile{
	"etc/default/locale": {text: "LANG=C.UTF-8\n", mode: 0o644},
	"etc/fstab":          {mode: 0o644},
	"etc/group":          {text: groups(), mode: 0o644},
	"etc/gshadow":        {text: gshadow(), mode: 0o640, group: groupShadow},
	"etc/hostname":       {text: "localhost\n", mode: 0o644},
	"etc/hosts":          {text: hostsText, mode: 0o644},
	"etc/machine-id":     {mode: 0o444},
	"etc/nsswitch.conf":  {text: nsswitchText, mode: 0o644},
	"etc/passwd":         {text: passwdText, mode: 0o644},
	"etc/resolv.conf":    {mode: 0o644},
	"etc/shadow":         {text: shadow(), mode: 0o640, group: groupShadow},
	"etc/ssh/sshd_config": {
		text: sshdText, mode: 0o644,
	},
	"etc/subgid":      {mode: 0o644},
	"etc/subuid":      {mode: 0o644},
	"etc/sudoers":     {text: sudoersText, mode: 0o440},
	"etc/timezone":    {text: "Etc/UTC\n", mode: 0o644},
	"var/log/btmp":    {mode: 0o660, group: groupUtmp},
	"var/log/lastlog": {mode: 0o664, group: groupUtmp},
	"var/log/wtmp":    {mode: 0o664, group: groupUtmp},
}

// writeSkeleton makes root, the root file system, and usr, what is laid over
// the machine's /usr; neither may exist. Guest says whether there is a guest
// program to be mounted at usr/bin/imprint-guest.
func writeSkeleton(root, usr string, guest bool) error {
	if err := writeRoot(root); err != nil {
		return fmt.Errorf("write skeleton: %w", err)
	}
	if err := writeUsr(usr, guest); err != nil {
		return fmt.Errorf("write skeleton: %w", err)
	}
	return nil
}

func writeRoot(root string) error {
	for _, d := range skeletonDirs {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for d, mode := range skeletonModes {
		if err := unix.Chmod(filepath.Join(root, d), mode); err != nil {
			return err
		}
	}
	if err := os.Lchown(filepath.Join(root, "var/mail"), 0, groupMail); err != nil {
		return err
	}
	for name, f := range skeletonFiles {
		if err := f.write(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	for name, target := range skeletonLinks {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	if err := linkUsr(root); err != nil {
		return err
	}
	if err := copyAlternatives(root); err != nil {
		return err
	}
	for _, name := range skeletonCopies {
		if err := copyTree(filepath.Join("/etc", name), filepath.Join(root, "etc", name)); err != nil {
			return err
		}
	}
	return copyHome(root)
}

func (f skeletonFile) write(name string) error {
	if err := os.WriteFile(name, []byte(f.text), 0o600); err != nil {
		return err
	}
	if err := os.Lchown(name, 0, f.group); err != nil {
		return err
	}
	return unix.Chmod(name, f.mode)
}

// linkUsr makes the links bin, lib and so on as the machine has them.
func linkUsr(root string) error {
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	var made int
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		target, err := os.Readlink("/" + e.Name())
		if err != nil || strings.TrimPrefix(target, "/") != "usr/"+e.Name() {
			continue
		}
		if err := os.Symlink("usr/"+e.Name(), filepath.Join(root, e.Name())); err != nil {
			return err
		}
		made++
	}
	if made == 0 {
		return errors.New("this machine keeps programs outside /usr: the tree host is not possible")
	}
	return nil
}

// copyAlternatives copies the links that say which of several programs a name
// means; those of manual pages are left out.
func copyAlternatives(root string) error {
	entries, err := os.ReadDir("/etc/alternatives")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		target, err := os.Readlink("/etc/alternatives/" + e.Name())
		if err != nil || !strings.HasPrefix(target, "/usr/") || strings.HasPrefix(target, "/usr/share/man/") {
			continue
		}
		if err := os.Symlink(target, filepath.Join(root, "etc/alternatives", e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies a file, or the files of a directory, that every user may
// read. What is not there is left out.
func copyTree(from, to string) error {
	st, err := os.Stat(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return copyPublic(from, to)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyPublic(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyPublic(from, to string) error {
	st, err := os.Stat(from)
	if err != nil || !st.Mode().IsRegular() || st.Mode()&0o004 == 0 || st.Size() > maxCopy {
		return nil // a dangling link, or not for everybody
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, st.Mode().Perm()&0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, maxCopy))
	return errors.Join(err, out.Close())
}

// copyHome gives root the files that Debian gives it.
func copyHome(root string) error {
	for _, name := range []string{"bashrc", "profile"} {
		if err := copyTree("/usr/share/base-files/dot."+name, filepath.Join(root, "root", "."+name)); err != nil {
			return err
		}
	}
	return nil
}

// usrHidden are directories of the machine's /usr that an instance finds empty:
// what was put there by hand, and a cloud-init of the machine's own.
var usrHidden = []string{"local", "src", "lib/cloud-init"}

var usrLocal = []string{"bin", "etc", "games", "include", "lib", "sbin", "share", "src"}

func writeUsr(usr string, guest bool) error {
	for _, d := range append([]string{"bin"}, usrHidden...) {
		if err := os.MkdirAll(filepath.Join(usr, d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range usrHidden {
		// Linux: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"
		if err := unix.Setxattr(filepath.Join(usr, d), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return fmt.Errorf("hide /usr/%s: %w", d, err)
		}
	}
	for _, d := range usrLocal {
		if err := os.Mkdir(filepath.Join(usr, "local", d), 0o755); err != nil {
			return err
		}
	}
	command := filepath.Join(usr, "bin/cloud-init")
	if !guest {
		return unix.Mknod(command, unix.S_IFCHR, 0) // a whiteout
	}
	if err := os.WriteFile(filepath.Join(usr, "bin/imprint-guest"), nil, 0o755); err != nil {
		return err
	}
	return os.Symlink("imprint-guest", command)
}
