package datasource

import (
	"fmt"
	"time"
)

// Verdict is how sure a detection is.
type Verdict string

// The verdicts. Possible means that only asking can tell.
const (
	Absent   Verdict = "absent"
	Possible Verdict = "possible"
	Present  Verdict = "present"
)

// Evidence is what is known of one source on this machine, and why.
type Evidence struct {
	Source  string  `json:"source"`
	Verdict Verdict `json:"verdict"`
	// Network is true for a source that is asked at the metadata address.
	Network bool `json:"network,omitempty"`
	// Reason is a fact in words.
	Reason string `json:"reason"`
	// Tries and Error are of the crawl, if there was one.
	Tries []Try  `json:"tries,omitempty"`
	Error string `json:"error,omitempty"`
}

// Try is one request.
type Try struct {
	URL     string        `json:"url"`
	Attempt int           `json:"attempt"` // from 1, per URL
	At      time.Time     `json:"at"`
	Took    time.Duration `json:"took"`
	Status  int           `json:"status,omitempty"` // 0: no answer
	Error   string        `json:"error,omitempty"`
}

// CrawlError is a crawl that came to nothing, with all that was tried.
type CrawlError struct {
	Source string
	Tries  []Try
	Err    error
}

func (e *CrawlError) Error() string {
	msg := fmt.Sprintf("data source %s: %v", e.Source, e.Err)
	if n := len(e.Tries); n > 0 {
		msg += fmt.Sprintf(" (%d requests)", n)
	}
	return msg
}

func (e *CrawlError) Unwrap() error { return e.Err }
