package datasource

import (
	"encoding/base64"
	"maps"
	"strings"
	"testing"
)

// The differences that are meant.
const (
	noEnd        = "a key is one line, without its end"
	noX509       = "a key that is no SSH key is left out"
	asDocumented = "pass leaves the instance to others; 22.4 does not know its own word"
	hasNet       = "cloud-init 24.3 reads it too"
)

// sames are the inputs.
func sames(t *testing.T) []same {
	const md = "instance-id: iid-1\nlocal-hostname: h1.example.test\npublic-keys: [ssh-ed25519 AAAA a, ssh-ed25519 BBBB b]\n"
	seed := func(dir string, parts ...string) map[string]string {
		files := map[string]string{}
		for n := 0; n < len(parts); n += 2 {
			files["/var/lib/cloud/seed/"+dir+"/"+parts[n]] = parts[n+1]
		}
		return files
	}
	whole := seed("nocloud", "meta-data", md, "user-data", "#cloud-config\n{}\n", "vendor-data", "#!/bin/sh\n", "network-config", "version: 2\nethernets: {eth0: {dhcp4: true}}\n")
	onDisk := map[string]string{"meta-data": "instance-id: disk\navailability-zone: z1\n", "user-data": "#!disk", "network-config": "version: 1\nconfig: []\n"}
	aws := map[string]string{"product_uuid": "ec2e1916-9099-7caf-fd21-012345abcdef", "product_serial": "ec2e1916-9099-7caf-fd21-012345abcdef"}
	novaDMI := map[string]string{"product_name": "OpenStack Nova", "product_uuid": "CC8F7F24-498D-4E21-A549-F3771C3E5189"}
	drive := map[string]string{
		"openstack/2012-08-10/meta_data.json": `{"uuid": "old"}`,
		"openstack/2018-08-27/meta_data.json": `{"uuid": "cc8f7f24-498d-4e21-a549-f3771c3e5189", "hostname": "d1.novalocal", "availability_zone": "az", "region": "r1",
			"public_keys": {"k": "ssh-ed25519 AAAA k"}, "random_seed": "` + base64.StdEncoding.EncodeToString([]byte("seed")) + `",
			"files": [{"path": "/etc/a", "content_path": "/content/0000"}], "network_config": {"content_path": "/content/0001"}, "meta": {"dsmode": "local"}}`,
		"openstack/2018-08-27/user_data":         "#!/bin/sh\necho drive",
		"openstack/2018-08-27/vendor_data.json":  `{"cloud-init": "#cloud-config\n{a: b}"}`,
		"openstack/2018-08-27/vendor_data2.json": `{"other": 1}`,
		"openstack/2018-08-27/network_data.json": `{"links": [], "networks": [], "services": []}`,
		"openstack/content/0000":                 "file a\n",
		"openstack/content/0001":                 "auto eth0\niface eth0 inet dhcp\n",
		"ec2/latest/meta-data.json":              `{"ami-id": "a", "block-device-mapping": {"ami": "sda"}}`,
	}
	v1 := map[string]string{
		"meta.js":                `{"instance-id": "v1", "dsmode": "net", "user-data": "#!v1", "public-keys": "# c\nssh-ed25519 AAAA a\n"}`,
		"etc/network/interfaces": "auto eth0\niface eth0 inet dhcp\n", "root/.ssh/authorized_keys": "ssh-ed25519 CCCC c\n",
	}
	urls := func(source string) string {
		wait := map[bool]string{true: "5", false: "-1"}[source == "Ec2" || source == "AliYun"] // where it must be more than none
		return source + ": {metadata_urls: [URL], max_wait: " + wait + ", timeout: 5}\n"
	}
	ec2 := table("/2009-04-04/meta-data/", "instance-id\nlocal-hostname\npublic-keys/\nplacement/\nhostname\n", "/2009-04-04/meta-data/instance-id", "i-1",
		"/2009-04-04/meta-data/local-hostname", "10.0.0.7", "/2009-04-04/meta-data/hostname", "a.b", "/2009-04-04/meta-data/public-keys/", "0=one\n1=two",
		"/2009-04-04/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA one\n", "/2009-04-04/meta-data/public-keys/1/openssh-key", "ssh-ed25519 BBBB two\n",
		"/2009-04-04/meta-data/placement/", "availability-zone", "/2009-04-04/meta-data/placement/availability-zone", "zone-1a", "/2009-04-04/user-data", "#!/bin/sh\n")
	return []same{
		{name: "directory", source: "NoCloud", files: whole},
		{name: "directory for the network", source: "NoCloud", files: seed("nocloud-net", "meta-data", "dsmode: local\n", "user-data", "")},
		{name: "both directories", source: "NoCloud", files: join(whole, seed("nocloud-net", "meta-data", "instance-id: b", "user-data", "b"))},
		{name: "half a directory", source: "NoCloud", files: seed("nocloud", "meta-data", md), absent: true},
		{name: "half, and a whole one", source: "NoCloud", files: join(seed("nocloud", "user-data", "a"), seed("nocloud-net", "meta-data", "instance-id: b", "user-data", "b"))},
		{name: "nothing", source: "NoCloud", absent: true},
		{name: "empty files", source: "NoCloud", files: seed("nocloud", "meta-data", "", "user-data", "")},
		{name: "bad metadata", source: "NoCloud", files: seed("nocloud", "meta-data", "a: [b\n", "user-data", "x")},
		{name: "metadata is a list", source: "NoCloud", files: seed("nocloud", "meta-data", "[a, b]", "user-data", "x", "network-config", "just text")},
		{name: "metadata of many kinds", source: "NoCloud", files: seed("nocloud", "meta-data",
			"instance-id: 0123\nlocal-hostname: 10.0.0.1\nregion: r\nplacement: {availability-zone: z}\ncloud-name: MyCloud\npublic-keys: {a: [k1, k2], b: k3}\nnested: {a: 1.5, b: yes, c: null}\n", "user-data", "x"), but: map[string]string{"same": "a number is the same as its text"}},
		{name: "interfaces", source: "NoCloud", files: seed("nocloud", "meta-data", "network-interfaces: |\n  auto eth0\n  iface eth0 inet dhcp\n", "user-data", "x"),
			but: map[string]string{"network_config": "converted when it is used"}},
		{name: "disabled", source: "NoCloud", files: seed("nocloud", "meta-data", "dsmode: disabled", "user-data", "x"), absent: true},
		{name: "mode not known", source: "NoCloud", files: seed("nocloud", "meta-data", "dsmode: odd", "user-data", "x")},
		{name: "volume", source: "NoCloud", label: "cidata", volume: onDisk},
		{name: "volume, FAT, capitals", source: "NoCloud", label: "CIDATA", fat: true, volume: onDisk},
		{name: "volume without user data", source: "NoCloud", label: "cidata", volume: map[string]string{"meta-data": "a: b"}, absent: true},
		{name: "volume of another label", source: "NoCloud", label: "seed", volume: onDisk, config: "NoCloud: {fs_label: SEED}"},
		{name: "no volumes", source: "NoCloud", label: "cidata", volume: onDisk, config: "NoCloud: {fs_label: null}", absent: true},
		{name: "directory and volume", source: "NoCloud", files: whole, label: "cidata", volume: onDisk},
		{name: "serial", source: "NoCloud", dmi: map[string]string{"product_serial": "ds=nocloud;h=s1;i=serial"}},
		{name: "serial of something else", source: "NoCloud", dmi: map[string]string{"product_serial": "xds=nocloud;h=s1"}, absent: true},
		{name: "command line", source: "NoCloud", cmdline: "ro ds=nocloud;i=c1;h=c.d;dsmode=net;x;y=1=2;; quiet"},
		{name: "command line, nothing said", source: "NoCloud", cmdline: "ds=nocloud"},
		{name: "command line, another", source: "NoCloud", cmdline: "ds=nocloudy;i=a", absent: true},
		{name: "serial, command line, directory, volume", source: "NoCloud", dmi: map[string]string{"product_serial": "ds=nocloud-net;i=serial"},
			cmdline: "ds=nocloud;i=line;h=line", files: whole, label: "cidata", volume: onDisk},
		{name: "configuration", source: "NoCloud", config: "NoCloud: {user-data: '#!c', meta-data: {instance-id: conf, local-hostname: c}, vendor-data: v, network-config: '{version: 1, config: []}'}"},
		{name: "seed elsewhere", source: "NoCloud", config: "NoCloud: {seedfrom: ROOT/srv/seed/}", cmdline: "ds=nocloud;i=line",
			files: map[string]string{"/srv/seed/meta-data": md, "/srv/seed/user-data": "u", "/srv/seed/vendor-data": "v"}},
		{name: "seed elsewhere, by file", source: "NoCloud", config: "NoCloud: {seedfrom: 'file://ROOT/srv/seed-'}", files: map[string]string{"/srv/seed-meta-data": md, "/srv/seed-user-data": "u"}},
		{name: "seed elsewhere is not there", source: "NoCloud", config: "NoCloud: {seedfrom: ROOT/srv/seed/}", absent: true},
		{name: "address", source: "NoCloudNet", cmdline: "ds=nocloud-net;s=URL/a/;h=mine", served: table("/a/meta-data", md, "/a/user-data", "#!u", "/a/vendor-data", "v")},
		{name: "address with a network", source: "NoCloudNet", dmi: map[string]string{"product_serial": "ds=nocloud-net"}, config: "NoCloud: {seedfrom: URL/}",
			served: table("/meta-data", md, "/user-data", "", "/network-config", "version: 2\n"), but: map[string]string{"network_config": hasNet}},
		{name: "address with a place", source: "NoCloudNet", cmdline: "ds=nocloud;s=URL/get?f=%s&x", served: table("/get", md), but: map[string]string{"network_config": hasNet}},
		{name: "address without user data", source: "NoCloudNet", cmdline: "ds=nocloud;s=URL/", served: table("/meta-data", md), absent: true},
		{name: "address of another kind", source: "NoCloudNet", cmdline: "ds=nocloud;s=ftp://a/", absent: true},

		{name: "drive", source: "ConfigDrive", label: "config-2", volume: drive, dmi: novaDMI},
		{name: "drive, FAT, capitals", source: "ConfigDrive", label: "CONFIG-2", fat: true, volume: drive},
		{name: "version 1", source: "ConfigDrive", label: "config-2", fat: true, volume: v1, but: map[string]string{
			"metadata": "cloud-init's copy has the files, too", "ds": "so here", "eni": "used as its documentation says"}},
		{name: "version 1 without a word", source: "ConfigDrive", label: "config-2", fat: true, volume: map[string]string{"etc/network/interfaces": v1["etc/network/interfaces"]},
			but: map[string]string{"metadata": "cloud-init's copy has the files, too", "ds": "so here", "eni": "used as its documentation says"}},
		{name: "directory", source: "ConfigDrive", files: under("/var/lib/cloud/seed/config_drive/", drive)},
		{name: "disabled", source: "ConfigDrive", label: "config-2", volume: with2(drive, `{"uuid": "u", "meta": {"dsmode": "disabled"}}`), absent: true},
		{name: "pass", source: "ConfigDrive", label: "config-2", volume: with2(drive, `{"uuid": "u", "meta": {"dsmode": "pass"}}`), but: map[string]string{"found": asDocumented}},
		{name: "pass by configuration", source: "ConfigDrive", label: "config-2", volume: map[string]string{"openstack/latest/meta_data.json": `{"uuid": "u"}`}, config: "ConfigDrive: {dsmode: pass}", but: map[string]string{"found": asDocumented}},
		{name: "no uuid", source: "ConfigDrive", label: "config-2", volume: with2(drive, `{}`), absent: true},
		{name: "no content", source: "ConfigDrive", label: "config-2", volume: with2(drive, `{"uuid": "u", "files": [{"path": "/a", "content_path": "/content/9"}]}`), absent: true},
		{name: "cut metadata", source: "ConfigDrive", label: "config-2", volume: with2(drive, `{"uuid": "u"`), absent: true},

		{name: "c1", source: "OpenStack", dmi: novaDMI, config: urls("OpenStack"), served: known(t, "c1"), but: map[string]string{"ec2": "not read", "ds": "the EC2 tree is not read", "keys": noEnd}},
		{name: "c3, with the EC2 tree", source: "OpenStack", dmi: novaDMI, config: "OpenStack: {metadata_urls: [URL], ec2_metadata: true}\n", served: known(t, "c3"), but: map[string]string{"keys": noEnd}},
		{name: "c5", source: "OpenStack", dmi: novaDMI, config: urls("OpenStack"), served: known(t, "c5"), but: map[string]string{"keys": noX509, "ec2": "not read", "ds": "the EC2 tree is not read"}},
		{name: "multi-1", source: "OpenStack", dmi: novaDMI, config: urls("OpenStack"), served: known(t, "multi-1"), but: map[string]string{"ec2": "not read", "ds": "the EC2 tree is not read"}},
		{name: "the newest version", source: "OpenStack", dmi: novaDMI, config: urls("OpenStack"), served: table("/openstack", "2012-08-10\n2018-08-27\nlatest", "/openstack/2018-08-27/meta_data.json", `{"uuid": "new"}`), but: map[string]string{"ec2": "not read", "ds": "the EC2 tree is not read"}},
		{name: "no service", source: "OpenStack", dmi: novaDMI, config: urls("OpenStack"), served: table(), absent: true},
		{name: "another machine", source: "OpenStack", dmi: map[string]string{"product_name": "Laptop"}, config: urls("OpenStack"), served: known(t, "c1"), absent: true},

		{name: "unknown cloud", source: "Ec2", config: urls("Ec2"), served: ec2},
		{name: "strict", source: "Ec2", config: "Ec2: {metadata_urls: [URL], strict_id: true}", served: ec2, absent: true},
		{name: "nova's", source: "Ec2", config: urls("Ec2"), served: recorded(t, "c3")},
		{name: "brightbox", source: "Ec2", dmi: map[string]string{"product_serial": "srv-1.gb1.brightbox.com"}, config: urls("Ec2"), served: ec2},
		{name: "amazon", source: "Ec2", dmi: aws, config: urls("Ec2"), macs: map[string]string{"02:00:00:00:00:01": "eth0", "02:00:00:00:00:02": "eth1"}, served: tokens(amazonTree())},
		{name: "amazon, one NIC", source: "Ec2", dmi: aws, config: urls("Ec2"), macs: map[string]string{"02:00:00:00:00:02": "eth0"}, served: tokens(amazonTree())},
		{name: "amazon without tokens", source: "Ec2", dmi: aws, config: urls("Ec2"), served: amazonTree(), absent: true},

		{name: "aliyun", source: "AliYun", dmi: map[string]string{"product_name": "Alibaba Cloud ECS"}, config: urls("AliYun"), served: table("/2016-01-01/meta-data/", "instance-id\nhostname\npublic-keys/\n",
			"/2016-01-01/meta-data/instance-id", "i-ali", "/2016-01-01/meta-data/hostname", "ali.test", "/2016-01-01/meta-data/public-keys/", "0/",
			"/2016-01-01/meta-data/public-keys/0/", "openssh-key", "/2016-01-01/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA a", "/2016-01-01/user-data", "#!ali")},
	}
}

// amazonTree is what IMDS serves of a machine with two NICs.
func amazonTree() *answers {
	const v, mac1, mac2 = "/2021-03-23", "02:00:00:00:00:01/", "02:00:00:00:00:02/"
	const macs = v + "/meta-data/network/interfaces/macs/"
	return table(v+"/meta-data/", "instance-id\nlocal-hostname\nnetwork/\nplacement/\niam/", v+"/meta-data/instance-id", "i-md", v+"/meta-data/local-hostname", "ip-10-0-0-1.ec2.internal",
		v+"/meta-data/iam/", "security-credentials/\ninfo", v+"/meta-data/iam/info", `{"Code" : "Success", "n": 1}`,
		v+"/meta-data/placement/", "availability-zone", v+"/meta-data/placement/availability-zone", "us-gov-east-1a",
		v+"/meta-data/network/", "interfaces/", v+"/meta-data/network/interfaces/", "macs/", macs, mac1+"\n"+mac2,
		macs+mac1, "device-number\nlocal-ipv4s\nsubnet-ipv4-cidr-block\nipv6s", macs+mac1+"device-number", "0", macs+mac1+"local-ipv4s", "10.0.0.1\n10.0.0.9",
		macs+mac1+"subnet-ipv4-cidr-block", "10.0.0.0/20", macs+mac1+"ipv6s", "2001:db8::1\n2001:db8::2",
		macs+mac2, "device-number\nlocal-ipv4s", macs+mac2+"device-number", "1", macs+mac2+"local-ipv4s", "10.0.0.2",
		v+"/dynamic/instance-identity", "document\nsignature", v+"/dynamic/instance-identity/signature", "x",
		v+"/dynamic/instance-identity/document", `{"instanceId": "i-doc", "region": "us-gov-east-1", "availabilityZone": "us-gov-east-1b"}`,
		v+"/user-data", "#!aws")
}

// known are answers that have the newest version that 22.4 knows, too.
func known(t *testing.T, name string) *answers {
	a := recorded(t, name)
	for path, body := range maps.Clone(a.by) {
		a.by[strings.Replace(path, "2020-10-14", "2018-08-27", 1)] = body
	}
	return a
}

func join(trees ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, tree := range trees {
		for name, text := range tree {
			out[name] = text
		}
	}
	return out
}

func under(dir string, tree map[string]string) map[string]string {
	out := map[string]string{}
	for name, text := range tree {
		out[dir+name] = text
	}
	return out
}

// with2 is a drive with other metadata.
func with2(tree map[string]string, meta string) map[string]string {
	return join(tree, map[string]string{"openstack/2018-08-27/meta_data.json": meta})
}
