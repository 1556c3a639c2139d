package main

import (
	"log/slog"
	"slices"
	"time"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
	"imprint/guest/datasource"
	"imprint/guest/module"
)

// sources are the data sources in the order in which they are asked: seeds and
// config drives need no network and are there for those who have none, Ec2 is for
// clouds that serve EC2's tree alone, None is what is left. wait is how long one
// may go on asking while nobody answers. The system's configuration may choose
// among them, in an order of its own (datasource_list), and give them settings
// (datasource).
func sources(config *cloudconfig.Node, wait time.Duration, log *slog.Logger) []datasource.Source {
	own := func(name string) *cloudconfig.Node { return config.Get("datasource", name) }
	settings := func(name string) datasource.Settings {
		s, problems := datasource.ReadSettings(own(name), wait)
		for _, p := range problems {
			log.Warn("datasource " + name + ": " + p)
		}
		return s
	}
	dsmode, _ := own("ConfigDrive").Text("dsmode")
	all := []datasource.Source{
		datasource.NewNoCloud(own("NoCloud"), settings("NoCloud")),
		datasource.NewConfigDrive(dsmode),
		datasource.NewOpenStack(settings("OpenStack")),
		datasource.NewAliYun(settings("AliYun")),
		datasource.NewEc2(settings("Ec2")),
		datasource.NewNone(noneSettings(config)),
	}
	wanted, err := config.Strings("datasource_list")
	if err != nil || len(wanted) == 0 {
		return all
	}
	var chosen []datasource.Source
	for _, name := range wanted {
		at := slices.IndexFunc(all, func(s datasource.Source) bool { return s.Name() == name })
		if at >= 0 && !slices.Contains(chosen, all[at]) {
			chosen = append(chosen, all[at])
		}
	}
	return chosen
}

// localSources are the sources for a system that does not run: they ask nobody
// over this machine's network.
func localSources(config *cloudconfig.Node) []datasource.Source {
	return []datasource.Source{datasource.NewNone(noneSettings(config))}
}

func noneSettings(config *cloudconfig.Node) datasource.NoneSettings {
	n := config.Get("datasource", "None")
	set := datasource.NoneSettings{MetaData: n.Get("metadata")}
	if text, err := n.Text("userdata_raw"); err == nil {
		set.UserData = []byte(text)
	}
	return set
}

// The modules of each stage in their order, which is that of Debian's
// /etc/cloud/cloud.cfg.

func initModules() []module.Module {
	names := []string{"hostname", "fqdn", "preserve_hostname", "prefer_fqdn_over_hostname"}
	return []module.Module{
		{Name: "bootcmd", Frequency: clouddir.PerAlways, Keys: []string{"bootcmd"}, AtBoot: true, Run: module.Bootcmd},
		{Name: "write-files", Frequency: clouddir.PerInstance, Keys: []string{"write_files"}, Run: module.WriteFiles},
		{Name: "set_hostname", Frequency: clouddir.PerInstance, Reads: names, Run: module.SetHostname},
		{Name: "update_hostname", Frequency: clouddir.PerAlways, Reads: names, Run: module.UpdateHostname},
		{Name: "update_etc_hosts", Frequency: clouddir.PerAlways, Keys: []string{"manage_etc_hosts"}, Run: module.UpdateEtcHosts},
		{Name: "users-groups", Frequency: clouddir.PerInstance, Reads: []string{"users", "user", "groups"}, Run: module.UsersGroups},
		{Name: "ssh", Frequency: clouddir.PerInstance, Reads: []string{"ssh_deletekeys", "ssh_keys", "ssh_genkeytypes", "ssh_authorized_keys",
			"allow_public_ssh_keys", "disable_root", "disable_root_opts"}, Run: module.SSH},
	}
}

func configModules() []module.Module {
	return []module.Module{
		{Name: "set-passwords", Frequency: clouddir.PerInstance, Reads: []string{"chpasswd", "password", "ssh_pwauth"}, Run: module.SetPasswords},
		{Name: "timezone", Frequency: clouddir.PerInstance, Keys: []string{"timezone"}, Run: module.Timezone},
		{Name: "runcmd", Frequency: clouddir.PerInstance, Keys: []string{"runcmd"}, Run: module.Runcmd},
	}
}

func finalModules() []module.Module {
	return []module.Module{
		{Name: "write-files-deferred", Frequency: clouddir.PerInstance, Keys: []string{"write_files"}, Run: module.WriteFilesDeferred},
		{Name: "scripts-vendor", Frequency: clouddir.PerInstance, AtMostOnce: true, AtBoot: true, Run: module.ScriptsVendor},
		{Name: "scripts-per-once", Frequency: clouddir.PerOnce, AtMostOnce: true, AtBoot: true, Run: module.ScriptsPerOnce},
		{Name: "scripts-per-boot", Frequency: clouddir.PerAlways, AtBoot: true, Run: module.ScriptsPerBoot},
		{Name: "scripts-per-instance", Frequency: clouddir.PerInstance, AtMostOnce: true, AtBoot: true, Run: module.ScriptsPerInstance},
		{Name: "scripts-user", Frequency: clouddir.PerInstance, AtMostOnce: true, AtBoot: true, Run: module.ScriptsUser},
		{Name: "final-message", Frequency: clouddir.PerAlways, Reads: []string{"final_message"}, AtBoot: true, Run: module.FinalMessage},
	}
}
