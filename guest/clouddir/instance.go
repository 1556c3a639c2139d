package clouddir

import (
	"encoding/json"
	"fmt"
	"path"
)

const (
	idFile       = DataDir + "/instance-id"
	runIDFile    = RunDir + "/.instance-id"
	enabledFile  = RunDir + "/enabled"
	bootFinished = InstanceLink + "/boot-finished"
	cacheName    = "instance.json"
	cacheLink    = InstanceLink + "/" + cacheName
	cacheMode    = 0o400
)

// Identity is what makes an instance current.
type Identity struct {
	// ID is the instance id; it must not be empty.
	ID string
	// Source is the data source's line, such as
	// "DataSourceOpenStackLocal: DataSourceOpenStackLocal [net,ver=2]".
	Source string
}

// PreviousID is the id of the instance that the last stage worked for, or
// NoPreviousInstance.
func (d *Dir) PreviousID() string {
	if id := d.readLine(idFile); id != "" {
		return id
	}
	return NoPreviousInstance
}

// RunID is the id that this boot already decided on, "" before that.
func (d *Dir) RunID() string { return d.readLine(runIDFile) }

// Instancify makes id the current instance: its directories, the instance
// link, the previous-* files and the cache (any JSON value, mode 0400).
// The id files come last, so a boot cut off before them repeats the step.
// cloud-init: stages.py _reflect_cur_instance.
func (d *Dir) Instancify(id Identity, cache any) error {
	dir := InstanceDir(id.ID)
	for _, sub := range []string{"handlers", "scripts", "sem"} {
		if err := d.root.MkdirAll(path.Join(dir, sub), 0o755); err != nil {
			return fmt.Errorf("make %s/%s: %w", dir, sub, err)
		}
	}
	if err := d.writeJSON(path.Join(dir, cacheName), cache, cacheMode); err != nil {
		return err
	}
	if err := d.link(dir, InstanceLink); err != nil {
		return err
	}
	previousID := d.PreviousID()
	previousSource := d.readLine(path.Join(dir, "datasource"))
	if previousSource == "" {
		previousSource = id.Source
	}
	for _, f := range []struct{ name, line string }{
		{path.Join(dir, "datasource"), id.Source},
		{DataDir + "/previous-datasource", previousSource},
		{DataDir + "/previous-instance-id", previousID},
		{idFile, id.ID},
		{runIDFile, id.ID},
	} {
		if err := d.keep(f.name, []byte(f.line+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// StoreCache replaces the current instance's cache.
func (d *Dir) StoreCache(v any) error { return d.writeJSON(cacheLink, v, cacheMode) }

// LoadCache reads the cached instance into v. Its error wraps
// fs.ErrNotExist when no instance is current.
func (d *Dir) LoadCache(v any) error {
	data, err := d.root.ReadFile(cacheLink)
	if err != nil {
		return fmt.Errorf("read cached instance: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read cached instance %s: %w", cacheLink, err)
	}
	return nil
}

// BeginBoot forgets that an earlier boot finished, and says that the agent is
// enabled: where there is no generator to decide it, that it runs is enough.
func (d *Dir) BeginBoot() error {
	if err := d.remove(bootFinished); err != nil {
		return err
	}
	return d.note(enabledFile, nil, 0o644)
}

// FinishBoot writes boot-finished with its line.
func (d *Dir) FinishBoot(line string) error {
	return d.note(bootFinished, []byte(line+"\n"), 0o644)
}

// ReadInstance reads a file of the current instance's directory.
func (d *Dir) ReadInstance(name string) ([]byte, error) {
	return d.root.ReadFile(path.Join(InstanceLink, name))
}

// WriteInstance writes a file of the current instance's directory with mode
// 0600, which is what cloud-init gives everything a user may have put a
// secret into. Each boot writes it anew.
func (d *Dir) WriteInstance(name string, data []byte) error {
	return d.note(path.Join(InstanceLink, name), data, 0o600)
}

// WriteScript writes an executable of the current instance's directory.
func (d *Dir) WriteScript(name string, data []byte) error {
	return d.keep(path.Join(InstanceLink, name), data, 0o700)
}

// Names are a host name and its qualified form.
type Names struct {
	FQDN     string `json:"fqdn"`
	Hostname string `json:"hostname"`
}

const (
	setHostnameFile = DataDir + "/set-hostname"
	// PreviousHostname remembers what update_hostname wrote to /etc/hostname.
	PreviousHostname = DataDir + "/previous-hostname"
)

// SetNames are the names that set_hostname gave last; ok is false before that.
func (d *Dir) SetNames() (n Names, ok bool) {
	data, err := d.root.ReadFile(setHostnameFile)
	if err != nil || json.Unmarshal(data, &n) != nil {
		return Names{}, false
	}
	return n, true
}

// StoreNames remembers the names given.
func (d *Dir) StoreNames(n Names) error { return d.writeJSON(setHostnameFile, n, 0o644) }
