package distro

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// AuthorizeKeys adds keys to user's authorized_keys file, which is made even
// without any. options, when not empty, stand before each of them in place of
// the key's own. A key that is there is replaced, the other lines are kept.
// The file is never reached through a link: it belongs to the user, who could
// have root write somewhere else. cloud-init: ssh_util.py setup_user_keys.
func (d *Distro) AuthorizeKeys(user string, keys []string, options string) error {
	a, ok := d.Account(user)
	if !ok || !path.IsAbs(a.Home) {
		return fmt.Errorf("authorize keys of %s: no such user", user)
	}
	file, err := d.authorizedKeysFile(a)
	if err != nil {
		return fmt.Errorf("authorize keys of %s: %w", user, err)
	}
	old, err := d.Root.ReadFile(file)
	mode := fs.FileMode(0o600)
	if info, serr := d.Root.Lstat(file); err == nil && serr == nil {
		mode = info.Mode().Perm()
	}
	text := mergeKeys(string(old), keys, options)
	if err := d.Root.WriteFileAs(file, []byte(text), mode, a.UID, a.GID); err != nil {
		return fmt.Errorf("authorize keys of %s: %w", user, err)
	}
	return nil
}

// authorizedKeysFile is the file in the user's home that sshd reads. Its
// directory is made.
func (d *Distro) authorizedKeysFile(a Account) (string, error) {
	file := path.Join(a.Home, ".ssh/authorized_keys")
	for _, pattern := range strings.Fields(d.sshdOption("AuthorizedKeysFile")) {
		name := strings.NewReplacer("%%", "%", "%h", a.Home, "%u", a.Name).Replace(pattern)
		if !path.IsAbs(name) {
			name = path.Join(a.Home, name)
		}
		if name = path.Clean(name); strings.HasPrefix(name, path.Clean(a.Home)+"/") {
			file = name
			break
		}
	}
	if _, err := d.Root.Stat(a.Home); err != nil {
		if err := d.Root.MkdirAll(a.Home, 0o755); err != nil {
			return "", err
		}
		if err := d.Root.Chown(a.Home, a.UID, a.GID); err != nil {
			return "", err
		}
	}
	for dir := range parents(a.Home, file) {
		if err := d.privateDir(dir, a); err != nil {
			return "", err
		}
	}
	if info, err := d.Root.Lstat(file); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", file)
	}
	return file, nil
}

// parents yields the directories between home and file, outermost first.
func parents(home, file string) func(yield func(string) bool) {
	rest := strings.Split(strings.Trim(strings.TrimPrefix(path.Dir(file), path.Clean(home)), "/"), "/")
	return func(yield func(string) bool) {
		dir := path.Clean(home)
		for _, name := range rest {
			if name == "" {
				return
			}
			if dir = path.Join(dir, name); !yield(dir) {
				return
			}
		}
	}
}

func (d *Distro) privateDir(dir string, a Account) error {
	info, err := d.Root.Lstat(dir)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	if err := d.Root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return d.Root.Chown(dir, a.UID, a.GID)
}

// mergeKeys is the new content of an authorized_keys file.
func mergeKeys(old string, keys []string, options string) string {
	var add []authorizedKey
	for _, text := range keys {
		k, ok := parseKey(text)
		if !ok || slices.ContainsFunc(add, func(a authorizedKey) bool { return a.blob == k.blob }) {
			continue
		}
		if options != "" {
			k.options = options
		}
		add = append(add, k)
	}
	var b strings.Builder
	for line := range strings.Lines(old) {
		line = strings.TrimRight(line, "\r\n")
		if k, ok := parseKey(line); ok {
			if i := slices.IndexFunc(add, func(a authorizedKey) bool { return a.blob == k.blob }); i >= 0 {
				line = add[i].String()
				add = slices.Delete(add, i, i+1)
			}
		}
		b.WriteString(line + "\n")
	}
	for _, k := range add {
		b.WriteString(k.String() + "\n")
	}
	return b.String()
}
