package clouddir

import (
	"fmt"
	"path"
	"strings"
)

const (
	instanceData  = RunDir + "/instance-data.json"
	sensitiveData = RunDir + "/instance-data-sensitive.json"
	cloudIDLink   = RunDir + "/cloud-id"
	combinedData  = RunDir + "/combined-cloud-config.json"
)

// Redacted stands in the public instance data for what only root may see.
const Redacted = "redacted for non-root user"

// StoreInstanceData writes instance-data-sensitive.json for root alone, its
// public twin for all, and cloud-id. Both values are JSON objects.
// cloud-init: sources/__init__.py persist_instance_data.
func (d *Dir) StoreInstanceData(cloudID string, sensitive, public any) error {
	if cloudID == "" || strings.ContainsAny(cloudID, "/\n\x00") {
		return fmt.Errorf("%q cannot be a cloud id", cloudID)
	}
	file := cloudIDLink + "-" + cloudID
	if err := d.note(file, []byte(cloudID+"\n"), 0o644); err != nil {
		return err
	}
	old, _ := d.root.Readlink(cloudIDLink)
	if err := d.link(file, cloudIDLink); err != nil {
		return err
	}
	if old != "" && old != file && path.Dir(old) == RunDir {
		if err := d.remove(old); err != nil {
			return err
		}
	}
	if err := d.writeJSON(sensitiveData, sensitive, 0o600); err != nil {
		return err
	}
	return d.writeJSON(instanceData, public, 0o644)
}

// StoreCombined writes the whole configuration of this boot, for root alone.
func (d *Dir) StoreCombined(config any) error { return d.writeJSON(combinedData, config, 0o600) }

// HasInstanceData tells whether this boot has instance data.
func (d *Dir) HasInstanceData() bool {
	_, err := d.root.Stat(sensitiveData)
	return err == nil
}

// InstanceData reads the instance data: everything for root, the public half
// for others or where there is nothing else.
func (d *Dir) InstanceData(root bool) ([]byte, error) {
	if root {
		if data, err := d.root.ReadFile(sensitiveData); err == nil {
			return data, nil
		}
	}
	data, err := d.root.ReadFile(instanceData)
	if err != nil {
		//lint:ignore ST1005 cloud-init's words
		return nil, fmt.Errorf("Missing instance-data file: %s", instanceData)
	}
	return data, nil
}
