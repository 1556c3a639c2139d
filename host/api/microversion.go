package api

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"imprint/host/cloud"
)

// Version is a microversion.
type Version struct{ Major, Minor int }

// AtLeast reports whether v is major.minor or newer.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || (v.Major == major && v.Minor >= minor)
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Microversions says which microversions a service speaks and in which headers
// they are asked for. nova: api/openstack/wsgi.py set_api_version_request,
// 26.2.2.
type Microversions struct {
	Service  string // the name in OpenStack-API-Version
	Legacy   string // the older header of its own
	Min, Max Version
}

const standardVersionHeader = "OpenStack-API-Version"

var versionForm = regexp.MustCompile(`^([1-9]\d{0,3})\.([1-9]\d{0,3}|0)$`)

// negotiate returns the version that a request asks for; Min when it asks for
// none. An unknown version is a 406, a malformed one a 400.
func (m *Microversions) negotiate(h http.Header) (Version, error) {
	if m == nil {
		return Version{}, nil
	}
	asked := m.asked(h)
	switch asked {
	case "":
		return m.Min, nil
	case "latest":
		return m.Max, nil
	}
	parts := versionForm.FindStringSubmatch(asked)
	if parts == nil {
		return m.Min, cloud.Errorf(cloud.Invalid,
			"API Version String %.20q is of invalid format. Must be of format MajorNum.MinorNum.", asked)
	}
	var v Version
	v.Major, _ = strconv.Atoi(parts[1]) // the form says these are numbers
	v.Minor, _ = strconv.Atoi(parts[2])
	if !v.AtLeast(m.Min.Major, m.Min.Minor) || !m.Max.AtLeast(v.Major, v.Minor) {
		return m.Min, &StatusError{Status: http.StatusNotAcceptable, Text: fmt.Sprintf(
			"Version %s is not supported by the API. Minimum is %s and maximum is %s.", v, m.Min, m.Max)}
	}
	return v, nil
}

// asked returns the version in the standard header, else in the legacy one.
func (m *Microversions) asked(h http.Header) string {
	for _, value := range h.Values(standardVersionHeader) {
		for entry := range strings.SplitSeq(value, ",") {
			if words := strings.Fields(entry); len(words) == 2 && words[0] == m.Service {
				return words[1]
			}
		}
	}
	return strings.TrimSpace(h.Get(m.Legacy))
}

// stamp tells the version that was used, as Nova does on errors too.
func (m *Microversions) stamp(h http.Header, v Version) {
	if m == nil || v == (Version{}) {
		return
	}
	h.Set(standardVersionHeader, m.Service+" "+v.String())
	h.Set(m.Legacy, v.String())
	h.Add("Vary", standardVersionHeader)
	h.Add("Vary", m.Legacy)
}
