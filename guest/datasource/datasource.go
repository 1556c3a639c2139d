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
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"imprint/base/cloudconfig"
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

// DefaultURL is the metadata address of OpenStack and EC2.
const DefaultURL = "http://169.254.169.254"

// Settings are what cloud.cfg says of a network source (datasource: NAME:);
// zero fields mean the defaults.
type Settings struct {
	// URLs are metadata_urls, without a slash at the end: any of them will do.
	URLs []string
	// MaxWait (max_wait) is how long to go on asking while nobody answers;
	// negative asks once.
	MaxWait time.Duration
	// Timeout (timeout) bounds one request to a service that took the
	// connection.
	Timeout time.Duration
	// Retries (retries) is how often a document is asked for once more after
	// the service has answered at all; negative not at all.
	Retries int
	// Pause (sec_between_retries) is how long to wait before that; zero waits
	// longer each time, 0.2 s to 2 s.
	Pause time.Duration
	// EC2Tree (ec2_metadata, our own) has OpenStack read the EC2 tree as
	// well: about 25 requests more.
	EC2Tree bool
	// StrictID (strict_id) is Ec2's: only "true" matters, which forbids a
	// machine of no known cloud even where the administrator names the source.
	StrictID string
}

// Defaults of Settings. A service that is not there costs a boot about as much
// as MaxWait; cloud-init's one try of 10 s (OpenStack) and its 120 s (Ec2) are
// worse in both directions.
const (
	DefaultMaxWait = 8 * time.Second
	DefaultTimeout = 10 * time.Second
	DefaultRetries = 5
)

// maxCrawl bounds a crawl once the service has been met.
const maxCrawl = time.Minute

func (s Settings) withDefaults() Settings {
	if s.MaxWait == 0 {
		s.MaxWait = DefaultMaxWait
	}
	if s.Timeout <= 0 {
		s.Timeout = DefaultTimeout
	}
	if s.Retries == 0 {
		s.Retries = DefaultRetries
	}
	if len(s.URLs) == 0 {
		s.URLs = []string{DefaultURL}
	}
	return s
}

// ReadSettings reads a source's own part of the configuration. What makes no
// sense is left out; the problems say so. wait is the default of MaxWait.
// cloud-init 22.4: sources/__init__.py, get_url_params.
func ReadSettings(n *cloudconfig.Node, wait time.Duration) (Settings, []string) {
	s := Settings{MaxWait: wait}
	var problems []string
	number := func(key string, least, most float64) float64 {
		v, err := n.Get(key).AsFloat()
		if n.Get(key).IsNull() {
			return 0
		}
		if err != nil || v > most {
			problems = append(problems, fmt.Sprintf("%s: %.60q is no number up to %g", key, n.Get(key).String(), most))
			return 0
		}
		return max(v, least)
	}
	seconds := func(key string, least float64) time.Duration {
		return time.Duration(number(key, least, 3600) * float64(time.Second))
	}
	if d := seconds("max_wait", -1); d != 0 {
		s.MaxWait = d
	}
	s.Timeout, s.Pause = seconds("timeout", 0), seconds("sec_between_retries", 0)
	if s.Retries = int(number("retries", -1, 1000)); s.Retries == 0 && !n.Get("retries").IsNull() {
		s.Retries = -1
	}
	urls, err := n.Get("metadata_urls").AsStrings()
	if err != nil || len(urls) > maxURLs {
		problems = append(problems, fmt.Sprintf("metadata_urls: no list of at most %d addresses", maxURLs))
		urls = nil
	}
	for _, u := range urls {
		if at, err := url.Parse(u); err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
			problems = append(problems, fmt.Sprintf("metadata_urls: %.200q is no address of a web server", u))
			continue
		}
		s.URLs = append(s.URLs, strings.TrimRight(u, "/"))
	}
	s.EC2Tree, _ = n.Get("ec2_metadata").AsBool()
	if v := n.Get("strict_id"); !v.IsNull() {
		s.StrictID = strings.ToLower(v.String())
	}
	return s, problems
}

// maxURLs bounds the addresses that are asked at once.
const maxURLs = 8

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
