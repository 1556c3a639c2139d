package compute

import (
	"strings"
	"testing"

	"imprint/host/cloud"
)

// TestSanitizeHostname has what nova 26.2.2's utils.sanitize_hostname gave for
// the same names.
func TestSanitizeHostname(t *testing.T) {
	for name, want := range map[string]string{
		"c1":                            "c1",
		"C5 Weird_Name.example!":        "c5-weird-name-example",
		"my1.cloudman.cc":               "my1-cloudman-cc",
		"--a--":                         "a",
		"a  b__c":                       "a--b--c",
		"Füße €uro":                     "füße-uro",
		"½ µ²×÷":                        "½-µ²",
		"日本":                            "",
		"日本-web":                        "web",
		"a\tb":                          "ab",
		"...":                           "",
		strings.Repeat("x", 70):         strings.Repeat("x", 63),
		strings.Repeat("!", 63) + "abc": "",
		strings.Repeat("日", 63) + "abc": "abc",
	} {
		if got := sanitizeHostname(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestNameServer(t *testing.T) {
	for _, c := range []struct {
		name, hostname string
		index, count   int
		wantName, want string
	}{
		{"Web", "", 0, 1, "Web", "web"},
		{"Web", "", 1, 2, "Web-2", "web-2"},
		{"日本", "", 0, 2, "日本-1", "Server-id"},
		{"Web", "h-1", 0, 1, "Web", "h-1"},
	} {
		s := &cloud.Server{ServerID: "id"}
		nameServer(s, c.name, c.hostname, c.index, c.count)
		if s.Name != c.wantName || s.HostName != c.want {
			t.Errorf("%+v: %q, %q", c, s.Name, s.HostName)
		}
	}
}
