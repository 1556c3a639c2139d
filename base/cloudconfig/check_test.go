package cloudconfig

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"good": {`#cloud-config
hostname: a
fqdn: a.b
prefer_fqdn_over_hostname: yes
preserve_hostname: 'False'
manage_etc_hosts: localhost
users:
  - default
  - name: x
    sudo: [ALL=(ALL) NOPASSWD:ALL]
    lock_passwd: 0
    ssh_authorized_keys: [ssh-rsa AAAA]
    uid: 2000
    expiredate: 2032-09-01
user: {name: y}
groups: [a, {b: [x]}]
ssh_authorized_keys: [ssh-rsa AAAA]
ssh_pwauth: unchanged
disable_root: off
password: secret
chpasswd: {expire: false, list: "a:b", users: [{name: a, type: RANDOM}]}
timezone: Asia/Shanghai
write_files:
  - {path: /a, content: b, permissions: '0644', encoding: gz+b64, append: no}
  - {path: /b, content: !!binary aGk=}
runcmd: [ls, [ls, -l, /], null, [mkdir, /yunshan]]
bootcmd: [echo a]
ssh_keys: {rsa_private: x, ed25519_public: y}
ssh_deletekeys: 1
ssh_genkeytypes: [rsa, ed25519]
final_message: done
locale: en_US.UTF-8
packages: [tree, [libpython2.7, 2.7.3-0ubuntu3.1]]
package_update: true
apt: {primary: x}
merge_how: list()
launch-index: 1
`, nil},
		"top":     {"- a\n", []string{"line 1 column 1: error: : want a map, have a list"}},
		"unknown": {"hostnme: a\n1: b\n", []string{"line 1 column 1: warning: hostnme: unknown key, ignored", "line 2 column 1: warning: 1: unknown key, ignored"}},
		"bad schema": {"hostname: 5\nusers: {a: b}\npackages: tree\nruncmd: 5\nwrite_files: {path: /x}\nnosuchkey: 1\n", []string{
			`line 1 column 11: error: hostname: want a string (quote it), have "5"`,
			`line 3 column 11: error: packages: want a list, have "tree"`,
			`line 4 column 9: error: runcmd: want a list, have "5"`,
			"line 5 column 14: error: write_files: want a list, have a map",
			"line 6 column 1: warning: nosuchkey: unknown key, ignored",
		}},
		"nested": {"write_files:\n- content: x\n  permissions: 0644\n  encoding: b65\n  mode: 1\nusers:\n- name: [a]\n  sudo: 5\n- 7\n", []string{
			"line 2 column 3: error: write_files[0]: lacks path",
			`line 3 column 16: warning: write_files[0].permissions: read as the integer "420": quote it if it is meant as text`,
			`line 4 column 13: error: write_files[0].encoding: want one of ["gz" "gzip" "gz+base64" "gzip+base64" "gz+b64" "gzip+b64" "b64" "base64" "text/plain"], have "b65"`,
			"line 5 column 3: warning: write_files[0].mode: unknown key, ignored",
			"line 7 column 9: error: users[0].name: want a string, have a list",
			`line 8 column 9: error: users[0].sudo: want a string, a list or false, have "5"`,
			`line 9 column 3: error: users[1]: want a string, a list of strings or a map, have "7"`,
		}},
		"commands": {"runcmd:\n- echo a: b\n- false\n- [echo, yes, null, {a: b}]\nbootcmd: x\n", []string{
			"line 2 column 3: error: runcmd[0]: want a string or a list (quote a command with a colon and a blank), have a map",
			`line 3 column 3: error: runcmd[1]: want a string or a list (quote it), have "False"`,
			`line 4 column 10: warning: runcmd[2][1]: read as the boolean "True": quote it if it is meant as text`,
			"line 4 column 15: warning: runcmd[2][2]: read as the text None: quote it",
			"line 4 column 21: error: runcmd[2][3]: want a string, have a map",
			`line 5 column 10: error: bootcmd: want a list, have "x"`,
		}},
		"words": {"disable_root: maybe\nmanage_etc_hosts: remote\nssh_pwauth: 2\npassword: 0123\nhostname:\nssh_genkeytypes: [foo]\nssh_keys: {rsa: x}\n", []string{
			`line 1 column 15: error: disable_root: want a boolean, have "maybe"`,
			`line 2 column 19: error: manage_etc_hosts: want a boolean or one of ["template" "localhost"], have "remote"`,
			`line 3 column 13: error: ssh_pwauth: want a boolean or one of ["unchanged"], have "2"`,
			`line 4 column 11: warning: password: read as the integer: quote it if it is meant as text`,
			"line 5 column 1: warning: hostname: no value",
			`line 6 column 19: error: ssh_genkeytypes[0]: want one of ["dsa" "ecdsa" "ed25519" "rsa"], have "foo"`,
			"line 7 column 12: warning: ssh_keys.rsa: unknown key, ignored",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n, err := Parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range Check(n) {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckIsBounded(t *testing.T) {
	n := parseMap(t, "runcmd: ["+strings.Repeat("5, ", 100_000)+"]\nusers: ["+strings.Repeat("5, ", 100_000)+"]\n")
	if got := len(Check(n)); got != maxProblems {
		t.Errorf("%d problems", got)
	}
}

// No message shows what may be a secret.
func TestCheckHidesSecrets(t *testing.T) {
	for _, text := range []string{
		"password: 31337", "chpasswd: {list: 31337}", "chpasswd: {list: [31337, [31337]]}", "chpasswd: {users: [{name: a, password: 31337}]}", "password: [31337]",
		"users: [{name: a, passwd: 31337, hashed_passwd: 31337, plain_text_passwd: 31337}]", "user: {passwd: 31337}",
		"ssh_keys: {rsa_private: 31337}", "write_files: [{path: /a, content: 31337}]",
	} {
		problems := Check(parseMap(t, text))
		if len(problems) == 0 {
			t.Errorf("%s: no problem", text)
		}
		for _, p := range problems {
			if strings.Contains(p.String(), "31337") {
				t.Errorf("%s: %s", text, p)
			}
		}
	}
}
