package datasource

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"imprint/base/cloudconfig"
)

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
