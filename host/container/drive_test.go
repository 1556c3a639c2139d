package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// volume is the beginning of a volume: enough to tell its kind.
func volume(kind string) []byte {
	b := make([]byte, 40<<10)
	if kind == "iso9660" {
		copy(b[32768:], "\x01CD001\x01")
	}
	copy(b, "content")
	return b
}

// tryDrive looks at the drive from inside, as root and as another user, and
// tries to change it by every name that it has.
const tryDrive = `test "$2" = "--local" || exit 0
d=$(readlink -f /dev/disk/by-label/config-2)
echo "device $d $(stat -c '%F %u:%g %a %s' $d)"
echo "root reads $(head -c 7 $d)"
setpriv --reuid 65534 --regid 65534 --clear-groups head -c 7 $d && echo "others read it"
for n in $d /dev/disk/by-label/config-2 /proc/self/root$d; do
	echo x 2>/dev/null >>$n && echo "written by $n"
	chmod 644 $n && echo "mode changed by $n"
	chown 1 $n && echo "owner changed by $n"
done
mount -o remount,rw $d && echo "remounted"
umount $d && echo "unmounted"
rm $d && echo "removed"
echo "links $(ls /dev/disk/by-label)"
echo "rest $(ls -d /dev/sr* /dev/vd* 2>/dev/null)"
exit 0
`

func TestDrive(t *testing.T) {
	for kind, device := range map[string]string{"iso9660": "/dev/sr0", "vfat": "/dev/vdb"} {
		t.Run(kind, func(t *testing.T) {
			l := newLab(t, HostTree)
			l.driver.config.Guest = script(t, tryDrive)
			name := filepath.Join(l.dir(), "disk.config")
			if err := os.MkdirAll(l.dir(), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, volume(kind), 0o400); err != nil {
				t.Fatal(err)
			}
			l.boot()
			var told []string
			for line := range strings.Lines(l.console()) {
				for _, word := range []string{"device", "root reads", "others", "written", "mode", "owner", "remounted", "unmounted", "removed", "links", "rest"} {
					if strings.HasPrefix(line, word) {
						told = append(told, strings.TrimSpace(line))
					}
				}
			}
			want := []string{"device " + device + " regular file 0:0 400 40960", "root reads content", "links config-2", "rest " + device}
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("-want +told\n%s\n%s", diff, l.console())
			}
			if b, err := os.ReadFile(name); err != nil || string(b) != string(volume(kind)) {
				t.Errorf("the drive has changed: %v", err)
			}
		})
	}
}
