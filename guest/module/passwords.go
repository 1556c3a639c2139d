package module

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/guest/distro"
)

// newPassword is one password to be set.
type newPassword struct {
	user, value string
	hashed      bool
	random      bool
}

// hashForm recognises a crypt(5) hash. cloud-init 22.4 knows 1, 2a, 2y, 5 and
// 6 and would take Debian's own yescrypt hashes for plain text.
var hashForm = regexp.MustCompile(`^\$(1|2a|2b|2y|5|6|7|y|gy)(\$.+){2}`)

// SetPasswords sets passwords (password, chpasswd) and whether sshd takes
// them (ssh_pwauth).
func SetPasswords(ctx context.Context, e *Env) error {
	chpasswd := e.Config.Get("chpasswd")
	list, err := e.newPasswords(chpasswd)
	if err != nil {
		return err
	}
	expire, err := chpasswd.Bool("expire")
	if err != nil {
		return err
	}
	var errs []error
	var random strings.Builder
	for _, p := range list {
		if err := e.setPassword(p, expire.Or(true)); err != nil {
			errs = append(errs, err)
			continue
		}
		if p.random {
			fmt.Fprintf(&random, "%s:%s\n", p.user, p.value)
		}
	}
	if random.Len() > 0 {
		// The console is the only place where a random password is shown.
		_, err := io.WriteString(e.Console, "Set the following 'random' passwords\n\n"+random.String())
		errs = append(errs, err)
	}
	errs = append(errs, e.passwordLogin(ctx))
	return errors.Join(errs...)
}

func (e *Env) setPassword(p newPassword, expire bool) error {
	e.Log.Debug("Changing password for " + p.user)
	if err := e.Distro.SetPassword(!p.hashed, map[string]string{p.user: p.value}); err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	if !expire {
		return nil
	}
	if err := e.Distro.ExpirePassword(p.user); err != nil {
		return fmt.Errorf("expire password: %w", err)
	}
	return nil
}

// newPasswords reads chpasswd.users, chpasswd.list or else password.
func (e *Env) newPasswords(chpasswd *cloudconfig.Node) ([]newPassword, error) {
	out, err := e.passwordUsers(chpasswd.Get("users"))
	if err != nil {
		return nil, err
	}
	lines, err := passwordLines(chpasswd.Get("list"))
	if err != nil {
		return nil, err
	}
	if len(out) == 0 && len(lines) == 0 {
		if lines, err = e.defaultPassword(); err != nil {
			return nil, err
		}
	}
	for _, line := range lines {
		user, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, errors.New("chpasswd: an entry of list is not user:password")
		}
		p := newPassword{user: user, value: value}
		switch {
		case hashForm.MatchString(value) && !strings.Contains(value, ":"):
			p.hashed = true
		case value == "R" || value == "RANDOM":
			if p.value, err = e.Distro.RandomPassword(); err != nil {
				return nil, err
			}
			p.random = true
		}
		out = append(out, p)
	}
	return out, nil
}

func (e *Env) passwordUsers(list *cloudconfig.Node) (out []newPassword, err error) {
	for _, u := range list.Items() {
		p := newPassword{}
		if p.user, err = u.Text("name"); err != nil {
			return nil, err
		}
		if p.value, err = u.Text("password"); err != nil {
			return nil, err
		}
		kind, err := u.Text("type")
		if err != nil {
			return nil, err
		}
		switch kind {
		case "", "hash":
			p.hashed = true
		case "text":
		case "RANDOM":
			p.random = true
			if p.value, err = e.Distro.RandomPassword(); err != nil {
				return nil, err
			}
		default:
			return nil, u.Errorf("chpasswd: type %q is none of hash, text, RANDOM", kind)
		}
		if p.user == "" || p.value == "" {
			return nil, u.Errorf("chpasswd: a user needs name and password")
		}
		out = append(out, p)
	}
	return out, nil
}

// passwordLines reads chpasswd.list, a list or a text of lines.
func passwordLines(list *cloudconfig.Node) ([]string, error) {
	if list.IsNull() {
		return nil, nil
	}
	entries, err := list.AsStrings()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, entry := range entries {
		for line := range strings.Lines(entry) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

// defaultPassword gives the top-level password to the default user.
func (e *Env) defaultPassword() ([]string, error) {
	password, err := e.Config.Text("password")
	if err != nil || password == "" {
		return nil, err
	}
	users, err := e.accounts()
	if err != nil {
		return nil, err
	}
	name := defaultOf(users)
	if name == "" {
		e.Log.Warn("No default or defined user to change password for.")
		return nil, nil
	}
	return []string{name + ":" + password}, nil
}

// passwordLogin applies ssh_pwauth. cloud-init: handle_ssh_pwauth.
func (e *Env) passwordLogin(ctx context.Context) error {
	option := e.Config.Get("ssh_pwauth")
	on, err := option.AsBool()
	if word, _ := option.AsString(); option.IsNull() || strings.EqualFold(word, "unchanged") {
		e.Log.Debug("Leaving SSH config 'PasswordAuthentication' unchanged.")
		return nil
	} else if err != nil {
		e.Log.Warn("Leaving SSH config 'PasswordAuthentication' unchanged. Unrecognized value: ssh_pwauth=" + word)
		return nil
	}
	state, err := e.Distro.SSHState(ctx)
	if err != nil {
		return fmt.Errorf("ssh_pwauth: %w", err)
	}
	if state == distro.Missing {
		e.Log.Warn("Ignoring config 'ssh_pwauth': SSH service '" + distro.SSHService + "' is not installed.")
		return nil
	}
	value := "no"
	if on {
		value = "yes"
	}
	changed, err := e.Distro.SetSSHD([2]string{"PasswordAuthentication", value})
	if err != nil || !changed || state != distro.Active {
		return err
	}
	e.Log.Debug("Restarting the SSH daemon.")
	return e.Distro.ReloadSSH(ctx)
}
