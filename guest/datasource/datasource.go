// Package datasource finds where an instance's data come from and reads them:
// each source returns one Instance value.
//
// Sources follow cloud-init 22.4 (sources/*.py, tools/ds-identify) in what they
// look for and in what they make of it. Whatever the network or a volume says is
// bounded in size and time, and every try is kept as evidence.
package datasource

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime"
	"time"
)

// Errors that callers decide on.
var (
	// ErrUnreachable says that nothing answered at the metadata address, or
	// that the way there could not be made: no other source behind the same
	// address need be asked.
	ErrUnreachable = errors.New("metadata service does not answer")
	// ErrNotServed says that the address answers, but not with what the
	// source looks for.
	ErrNotServed = errors.New("not served at the metadata address")
	// ErrDisabled says that the instance's own properties turn the source off.
	ErrDisabled = errors.New("data source is disabled by the instance's metadata")
)

// Source is one kind of place. Its methods are called by one goroutine.
type Source interface {
	// Name is cloud-init's, such as OpenStack; it stands in datasource_list.
	Name() string
	// Detect tells from the machine alone, without the network, whether the
	// source may be here.
	Detect(Env) Evidence
	// Crawl reads everything. Its error is a *CrawlError if anything was
	// asked over the network.
	Crawl(context.Context, Env) (*Instance, error)
}

// Env is the world as sources see it. The zero value of each field but Root
// is what a real system has.
type Env struct {
	// Root is where /sys and /proc are; *rootfs.Root is one.
	Root Files
	// Disks are the volumes that may be a config drive; nil means none.
	Disks Disks
	// Pass is told of an instance that leaves its place to other sources; nil
	// ignores it. It is called before the sources that come after.
	Pass func(*Instance)
	// BaseURL is the only metadata address that is asked, whatever the settings
	// say; empty leaves it to them.
	BaseURL string
	// Interface is the NIC over which a link-local address is asked; empty
	// takes the one that would be configured first.
	Interface string
	// Transport carries requests; nil is one without proxies.
	Transport http.RoundTripper
	// Connect makes the metadata address reachable before the first request,
	// as in the local stage, when there is no network yet: DHCP on the first
	// NIC. Nil means that there is a network.
	Connect func(context.Context) error
	// Arch is the machine as uname says; empty asks the running system.
	Arch string
	// Identity is what the machine is known to be; nil looks.
	Identity *Identity
	// Now is the clock of evidence; nil is time.Now.
	Now func() time.Time
	// Log nil discards.
	Log *slog.Logger
}

// Files reads small files and directories by absolute name.
type Files interface {
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) ([]fs.DirEntry, error)
}

func (e Env) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

// arch is the machine's, in uname's words.
func (e Env) arch() string {
	if e.Arch != "" {
		return e.Arch
	}
	return map[string]string{"amd64": "x86_64", "386": "i686", "arm64": "aarch64"}[runtime.GOARCH]
}

func (e Env) log() *slog.Logger {
	if e.Log != nil {
		return e.Log
	}
	return slog.New(slog.DiscardHandler)
}
