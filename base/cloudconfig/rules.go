package cloudconfig

// topRules are the keys of a document. Types follow what the modules of
// cloud-init 22.4 accept (cloudinit/config/cc_*.py), which is wider than its
// schema where a module takes str() of a value or a word for a boolean.
func topRules() map[string]rule {
	rules := map[string]rule{
		"hostname":                  text,
		"fqdn":                      text,
		"prefer_fqdn_over_hostname": boolean,
		"preserve_hostname":         boolean,
		"manage_etc_hosts":          word("template", "localhost"),
		"users":                     usersRule(),
		"user":                      byKind("a string or a map", map[Kind]rule{KindString: nil, KindMap: object(userRules())}),
		"groups":                    groupsRule(),
		"ssh_authorized_keys":       list(text),
		"ssh_pwauth":                word("unchanged"),
		"ssh_keys":                  object(hostKeyRules()),
		"ssh_deletekeys":            boolean,
		"ssh_genkeytypes":           list(oneOf("dsa", "ecdsa", "ed25519", "rsa")),
		"ssh_quiet_keygen":          boolean,
		"allow_public_ssh_keys":     boolean,
		"disable_root":              boolean,
		"disable_root_opts":         text,
		"password":                  loose,
		"chpasswd":                  chpasswdRule(),
		"timezone":                  text,
		"locale":                    byKind("a string or a boolean", map[Kind]rule{KindString: nil, KindBool: nil}),
		"locale_configfile":         text,
		"write_files":               list(object(fileRules(), "path")),
		"runcmd":                    commandsRule(),
		"bootcmd":                   commandsRule(),
		"final_message":             text,
		"packages":                  list(byKind("a string or [name, version]", map[Kind]rule{KindString: nil, KindList: list(loose)})),
		"package_update":            boolean,
		"package_upgrade":           boolean,
		"apt_update":                boolean,
		"apt_upgrade":               boolean,

		"package_reboot_if_required": boolean,
		"apt_reboot_if_required":     boolean,
	}
	for _, key := range otherKeys() {
		rules[key] = nil
	}
	return rules
}

func usersRule() rule {
	user := byKind("a string, a list of strings or a map", map[Kind]rule{
		KindString: nil, KindList: list(text), KindMap: object(userRules()),
	})
	return byKind("a list", map[Kind]rule{KindString: nil, KindList: list(user), KindMap: nil})
}

func userRules() map[string]rule {
	return map[string]rule{
		"name":                text,
		"snapuser":            text,
		"expiredate":          byKind("a date", map[Kind]rule{KindString: nil, KindTime: nil}),
		"gecos":               loose,
		"groups":              byKind("a string, a list or a map", map[Kind]rule{KindString: nil, KindList: list(text), KindMap: nil}),
		"homedir":             text,
		"inactive":            byKind("a number of days", map[Kind]rule{KindString: nil, KindInt: nil}),
		"lock-passwd":         boolean,
		"lock_passwd":         boolean,
		"no_create_home":      boolean,
		"no_log_init":         boolean,
		"no_user_group":       boolean,
		"passwd":              loose,
		"hashed_passwd":       loose,
		"plain_text_passwd":   loose,
		"create_groups":       boolean,
		"primary_group":       loose,
		"selinux_user":        text,
		"shell":               text,
		"ssh_authorized_keys": byKind("a list of strings", map[Kind]rule{KindString: nil, KindList: list(text)}),
		"ssh_import_id":       list(text),
		"ssh_redirect_user":   word("default"),
		"system":              boolean,
		"sudo":                byKind("a string, a list or false", map[Kind]rule{KindString: nil, KindList: list(text), KindBool: nil}),
		"uid":                 integer,
	}
}

func groupsRule() rule {
	members := anyMap(byKind("a string or a list", map[Kind]rule{KindNull: nil, KindString: nil, KindList: list(text)}))
	return byKind("a list", map[Kind]rule{
		KindString: nil,
		KindMap:    members,
		KindList:   list(byKind("a string or a map", map[Kind]rule{KindString: nil, KindMap: members})),
	})
}

func hostKeyRules() map[string]rule {
	rules := map[string]rule{}
	for _, kind := range []string{"dsa", "ecdsa", "ed25519", "rsa"} {
		for _, half := range []string{"private", "public", "certificate"} {
			rules[kind+"_"+half] = text
		}
	}
	return rules
}

func chpasswdRule() rule {
	return object(map[string]rule{
		"expire": boolean,
		"list":   byKind("a string or a list", map[Kind]rule{KindString: nil, KindList: list(loose)}),
		"users": list(object(map[string]rule{
			"name": text, "type": oneOf("hash", "text", "RANDOM"), "password": loose,
		}, "name")),
	})
}

func fileRules() map[string]rule {
	return map[string]rule{
		"path":        text,
		"content":     loose,
		"owner":       text,
		"permissions": loose,
		"encoding": oneOf("gz", "gzip", "gz+base64", "gzip+base64", "gz+b64", "gzip+b64",
			"b64", "base64", "text/plain"),
		"append": boolean,
		"defer":  boolean,
	}
}

// commandsRule is what cloudinit/util.py shellify takes.
func commandsRule() rule {
	return list(func(c *check, path string, n *Node) {
		switch n.Kind {
		case KindNull, KindString:
		case KindList:
			list(argument)(c, path, n)
		case KindMap:
			c.wrong(path, n, "a string or a list (quote a command with a colon and a blank)")
		default:
			c.wrong(path, n, "a string or a list (quote it)")
		}
	})
}

// argument is one argument of a command.
func argument(c *check, path string, n *Node) {
	if n.Kind == KindNull {
		c.say(LevelWarning, path, n, "read as the text None: quote it")
		return
	}
	loose(c, path, n)
}

// otherKeys are keys that cloud-init 22.4 knows (its schema, and what
// /etc/cloud/cloud.cfg may hold besides).
func otherKeys() []string {
	return []string{
		"allow_userdata", "ansible", "apk_repos", "apt", "apt_pipelining", "authkey_hash", "autoinstall",
		"byobu_by_default", "ca-certs", "ca_certs", "chef", "cloud_config_modules", "cloud_final_modules",
		"cloud_init_modules", "datasource", "datasource_list", "def_log_file", "device_aliases",
		"disable_ec2_metadata", "disk_setup", "drivers", "fan", "fs_setup", "growpart", "grub-dpkg",
		"grub_dpkg", "instance-id", "keyboard", "landscape", "launch-index", "log_cfgs", "lxd",
		"manage_resolv_conf", "manual_cache_clean", "mcollective", "merge_how", "merge_type", "migrate",
		"mount_default_fields", "mounts", "network", "no_ssh_fingerprints", "ntp", "output", "phone_home",
		"power_state", "puppet", "random_seed", "reporting", "resize_rootfs", "resolv_conf", "rh_subscription",
		"rsyslog", "salt_minion", "snap", "spacewalk", "ssh", "ssh_fp_console_blacklist", "ssh_import_id",
		"ssh_key_console_blacklist", "ssh_publish_hostkeys", "swap", "syslog_fix_perms", "system_info",
		"ubuntu_advantage", "unverified_modules", "updates", "vendor_data", "vendor_data2", "wireguard",
		"yum_repo_dir", "yum_repos", "zypper",
	}
}
