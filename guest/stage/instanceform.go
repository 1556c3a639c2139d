package stage

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"

	"golang.org/x/sys/unix"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
)

// experimental is cloud-init's word on what stands below ds.
const experimental = "EXPERIMENTAL: The structure and format of content scoped under the 'ds' key may change in subsequent releases of cloud-init."

const mergedDoc = "Merged cloud-init system config from /etc/cloud/cloud.cfg and /etc/cloud/cloud.cfg.d/"

// secretMetaData are entries of meta_data that only root may see. cloud-init
// 22.4 shows them to everybody.
var secretMetaData = []string{"admin_pass", "random_seed"}

// plain turns a value into JSON's own types, so that keys come out sorted.
func plain(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var out any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if dec.Decode(&out) != nil {
		return nil
	}
	return out
}

// rawJSON is a document as it came, or nil if it is no JSON.
func rawJSON(data []byte) any {
	if !json.Valid(data) {
		return nil
	}
	return json.RawMessage(data)
}

// uname is utsname's six fields, as Python has them.
func uname() []string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return make([]string, 6)
	}
	text := func(b []byte) string { return unix.ByteSliceToString(b) }
	return []string{text(u.Sysname[:]), text(u.Nodename[:]), text(u.Release[:]), text(u.Version[:]), text(u.Machine[:]), ""}
}

// systemInfo is sys_info of the instance data. cloud-init: util.py
// system_info; there is no Python here whose version it could name.
func (b *Boot) systemInfo() map[string]any {
	r, u := b.Distro.Release(), uname()
	return map[string]any{
		"dist":     []string{r.ID, r.Version, r.Codename},
		"platform": strings.Join([]string{u[0], u[2], u[4]}, "-"),
		"release":  u[2], "system": u[0], "uname": u, "variant": r.ID,
	}
}

// combined writes the whole configuration, the user's over the vendor's over the
// system's, for root to look at, as cloud-init does since 23.1 (stages.py).
func (b *Boot) combined(config *cloudconfig.Node) error {
	return b.Dir.StoreCombined(plain(config.Without("system_info")))
}

// instanceData are the two forms of instance-data.json: everything, and what
// users other than root may see. ds is what the source read, without user
// data; v1 are the source's own standard keys.
func (b *Boot) instanceData(ds, v1 map[string]any) (sensitive, public map[string]any) {
	system := b.systemInfo()
	dist := system["dist"].([]string)
	std := map[string]any{
		"_beta_keys": []string{"subplatform"},
		"distro":     dist[0], "distro_version": dist[1], "distro_release": dist[2],
		"kernel_release": system["release"], "machine": uname()[4],
		"system_platform": system["platform"], "variant": dist[0],
	}
	maps.Copy(std, v1)
	for _, key := range []string{"availability_zone", "cloud_name", "instance_id", "local_hostname"} {
		std[strings.ReplaceAll(key, "_", "-")] = std[key]
	}
	ds["_doc"] = experimental
	merged, _ := plain(b.systemConfig().Without("system_info")).(map[string]any)
	if merged == nil {
		merged = map[string]any{}
	}
	merged["_doc"] = mergedDoc
	meta, _ := ds["meta_data"].(map[string]any)
	encoded := []string{}
	if meta["random_seed"] != nil {
		encoded = append(encoded, "ds/meta_data/random_seed")
	}
	secret := []string{}
	for _, key := range secretMetaData {
		if meta[key] != nil {
			secret = append(secret, "ds/meta_data/"+key)
		}
	}
	sensitive = map[string]any{
		"base64_encoded_keys": encoded, "ds": ds, "merged_cfg": merged,
		"sensitive_keys": append(secret, "merged_cfg"), "sys_info": system, "v1": std,
	}
	public = maps.Clone(sensitive)
	public["merged_cfg"] = clouddir.Redacted
	if len(secret) > 0 {
		hidden := maps.Clone(meta)
		for _, key := range secretMetaData {
			if hidden[key] != nil {
				hidden[key] = clouddir.Redacted
			}
		}
		ds = maps.Clone(ds)
		ds["meta_data"] = hidden
		public["ds"] = ds
	}
	return sensitive, public
}
