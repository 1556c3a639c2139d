package identify

import (
	"strings"
	"testing"
)

func TestDetectVirt(t *testing.T) {
	for _, c := range []struct{ container, hypervisor, dmi, want string }{
		{"", "", "", "none"},
		{"lxc", "", "QEMU", "lxc"},
		{"oci", "", "", "docker"},
		{"something", "", "", "container-other"},
		{"", "", "OpenStack Foundation", "kvm"},
		{"", "", "QEMU", "qemu"},
		{"", "xen", "", "xen"},
		{"", "xen", "Amazon EC2", "amazon"},
		{"", "", "VMware, Inc.", "vmware"},
	} {
		if got := DetectVirt(c.container, c.hypervisor, "", c.dmi); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// What is in the files decides; what is secret in them is not repeated.
func TestExplainTellsNoSecret(t *testing.T) {
	r := Identify(Evidence{Arch: "x86_64", CommandLine: "ds=nocloud;s=http://u:geheim@10.0.0.1/", DMI: DMI{ProductSerial: "ds=nocloud;s=http://geheim/"}})
	if text := r.Explain(); strings.Contains(text, "geheim") || !strings.Contains(text, "enabled: found NoCloud") || !strings.Contains(text, "the kernel command line has ds=nocloud") {
		t.Error(text)
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add("datasource_list: [ NoCloud, None ]\nstrict_id: warn,5\n", "policy: search,maybe=all\ndatasource: 'Ec2'\n", "ci.ds=Ec2 cc:{datasource_list: [a]} ci.di.policy=report", "x86_64")
	f.Add("a\\\nb: c\\", "a:b:c\n\\:\\\n", "cc:datasource_list]][[", "i386")
	f.Add("", "", " ds=nocloud ci.datasource.ec2.strict_id= ", "")
	f.Fuzz(func(t *testing.T, config, identity, line, arch string) {
		e := Evidence{Arch: arch, CommandLine: line, Settings: ReadSettings(CloudConfig, []byte(config)), Identity: ReadIdentity([]byte(identity))}
		r := Identify(e)
		if len(r.Checks) != len(r.List) || r.Explain() == "" || r.Policy.Mode == "" {
			t.Fatalf("%+v", r)
		}
		for _, name := range []string{"OpenStack", "Ec2", "AliYun"} {
			if ok, _ := r.Trusts(name); ok && r.Named != name {
				t.Fatalf("%s is trusted: %+v", name, r)
			}
		}
	})
}
