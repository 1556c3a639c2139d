package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ParseBoolean reads a value as oslo_config/types.py, Boolean, does.
func ParseBoolean(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "1", "on", "yes":
		return true, nil
	case "false", "0", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("%.40q is not a boolean", v)
}

// pythonInteger is what Python's int takes.
var pythonInteger = regexp.MustCompile(`^[+-]?[0-9]+(_[0-9]+)*$`)

// ParseInteger reads a number from low to high as oslo_config/types.py, Integer,
// does. Other than there, nothing is not a number.
func ParseInteger(v string, low, high int) (int, error) {
	digits := strip(v)
	if pythonInteger.MatchString(digits) {
		n, err := strconv.Atoi(strings.ReplaceAll(digits, "_", ""))
		if err == nil && n >= low && n <= high {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%.40q is not a number from %d to %d", v, low, high)
}

// ParseList reads what is between commas as oslo_config/types.py, List, does;
// commas at the end are ignored.
func ParseList(v string) []string {
	v = strings.TrimRight(strip(v), ",")
	if v == "" {
		return nil
	}
	items := strings.Split(v, ",")
	for i, item := range items {
		items[i] = strip(item)
	}
	return items
}

// ParseChoice reads one of some words.
func ParseChoice(v string, choices ...string) (string, error) {
	if !slices.Contains(choices, v) {
		return "", fmt.Errorf("%.40q is none of %q", v, choices)
	}
	return v, nil
}

var (
	hostLabel = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	notNumber = regexp.MustCompile(`[A-Za-z-]`)
)

// ParseHost reads an IP address or the name of a host, which loses the dot at
// its end, as oslo_config/types.py, HostAddress, does.
func ParseHost(v string) (string, error) {
	if a, err := netip.ParseAddr(v); err == nil && a.Zone() == "" {
		return v, nil
	}
	name := strings.TrimSuffix(v, ".")
	labels := strings.Split(name, ".")
	bad := slices.ContainsFunc(labels, func(l string) bool { return !hostLabel.MatchString(l) })
	if bad || len(v) > 253 || !notNumber.MatchString(labels[len(labels)-1]) {
		return "", fmt.Errorf("%.80q is not the address or name of a host", v)
	}
	return name, nil
}
