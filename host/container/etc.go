package container

import "strings"

// Users and groups are those of Debian's base-passwd 3.6.1, which the owners
// of files below /usr refer to, and the one that sshd wants.

const passwdText = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
sync:x:4:65534:sync:/bin:/bin/sync
games:x:5:60:games:/usr/games:/usr/sbin/nologin
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
lp:x:7:7:lp:/var/spool/lpd:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
news:x:9:9:news:/var/spool/news:/usr/sbin/nologin
uucp:x:10:10:uucp:/var/spool/uucp:/usr/sbin/nologin
proxy:x:13:13:proxy:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
backup:x:34:34:backup:/var/backups:/usr/sbin/nologin
list:x:38:38:Mailing List Manager:/var/list:/usr/sbin/nologin
irc:x:39:39:ircd:/run/ircd:/usr/sbin/nologin
_apt:x:42:65534::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
`

const groupText = `root 0
daemon 1
bin 2
sys 3
adm 4
tty 5
disk 6
lp 7
mail 8
news 9
uucp 10
man 12
proxy 13
kmem 15
dialout 20
fax 21
voice 22
cdrom 24
floppy 25
tape 26
sudo 27
audio 29
dip 30
www-data 33
backup 34
operator 37
list 38
irc 39
src 40
shadow 42
utmp 43
video 44
sasl 45
plugdev 46
staff 50
games 60
users 100
nogroup 65534
`

// passwordAge is the day, counted from 1970, that the accounts' (locked)
// passwords are from; any will do.
const passwordAge = "19700"

func groups() string {
	var b strings.Builder
	for line := range strings.Lines(groupText) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		b.WriteString(name + ":x:" + id + ":\n")
	}
	return b.String()
}

func gshadow() string {
	var b strings.Builder
	for line := range strings.Lines(groupText) {
		name, _, _ := strings.Cut(line, " ")
		b.WriteString(name + ":*::\n")
	}
	return b.String()
}

func shadow() string {
	var b strings.Builder
	for line := range strings.Lines(passwdText) {
		name, _, _ := strings.Cut(line, ":")
		password := "*"
		if name == "sshd" {
			password = "!"
		}
		b.WriteString(name + ":" + password + ":" + passwordAge + ":0:99999:7:::\n")
	}
	return b.String()
}

const hostsText = `127.0.0.1	localhost
::1		localhost ip6-localhost ip6-loopback
ff02::1		ip6-allnodes
ff02::2		ip6-allrouters
`

const nsswitchText = `passwd:         files
group:          files
shadow:         files
gshadow:        files

hosts:          files dns
networks:       files

protocols:      files
services:       files
ethers:         files
rpc:            files
`

const sudoersText = `Defaults	env_reset
Defaults	mail_badpass
Defaults	secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

root	ALL=(ALL:ALL) ALL
%sudo	ALL=(ALL:ALL) ALL

@includedir /etc/sudoers.d
`

// sshdText is what Debian's openssh-server 9.2 sets.
const sshdText = `Include /etc/ssh/sshd_config.d/*.conf

KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem	sftp	/usr/lib/openssh/sftp-server
`
