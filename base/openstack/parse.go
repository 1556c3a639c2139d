package openstack

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ParseMetaData reads meta_data.json. Unknown keys are left out, a missing
// uuid is an error. The caller bounds the size of b.
func ParseMetaData(b []byte) (MetaData, error) {
	var m MetaData
	if err := json.Unmarshal(b, &m); err != nil {
		return MetaData{}, fmt.Errorf("meta_data.json: %w", err)
	}
	if m.UUID == "" {
		return MetaData{}, fmt.Errorf("meta_data.json: no uuid")
	}
	return m, nil
}

// ParseNetworkData reads network_data.json. Unknown keys are left out; the
// document "{}" of an instance without ports has neither links nor networks.
// The caller bounds the size of b.
func ParseNetworkData(b []byte) (NetworkData, error) {
	var n NetworkData
	if err := json.Unmarshal(b, &n); err != nil {
		return NetworkData{}, fmt.Errorf("network_data.json: %w", err)
	}
	return n, nil
}

// ParseVersions reads the list at /openstack and returns the versions that
// this package knows, oldest first.
func ParseVersions(list string) []Version {
	offered := map[Version]bool{}
	for line := range strings.Lines(list) {
		offered[Version(strings.TrimSpace(line))] = true
	}
	var known []Version
	for _, v := range Versions() {
		if offered[v] {
			known = append(known, v)
		}
	}
	return known
}
