package configdrive

import (
	"bytes"
	"testing"
	"testing/fstest"

	"imprint/base/vfat"
)

// FuzzVerify opens, lists and verifies what might be a drive or a disk with one.
// Whatever it is, that ends, and what is found good is the same when it is read
// once more.
func FuzzVerify(f *testing.F) {
	tree := fstest.MapFS{"meta-data": text("instance-id: i"), "user-data": text("#!"), "openstack/latest/meta_data.json": text(`{"uuid": "u"}`)}
	var iso bytes.Buffer
	m, err := Volume{Label: NoCloud}.Tree(tree)
	if err == nil {
		_, err = m.WriteTo(&iso)
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Add(iso.Bytes(), false)
	f.Add(iso.Bytes(), true)
	fat := vfat.Image{Label: NoCloud, Type: vfat.FAT12, Files: []vfat.File{{Path: "meta-data", Size: 2, Open: opener([]byte("{}"))}}}
	var b bytes.Buffer
	if _, err := fat.WriteTo(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), false)
	f.Fuzz(func(t *testing.T, b []byte, partitioned bool) {
		if len(b) > mib {
			return
		}
		if partitioned { // an MBR with one partition at 1 MiB
			disk := make([]byte, mib, 2*mib)
			copy(disk[446:], []byte{0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, byte(len(b) / 512), byte(len(b) / 512 >> 8)})
			copy(disk[510:], "\x55\xaa")
			b = append(disk, b...)
		}
		d, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		wrong := d.Verify()
		one, errOne := List(d, true, false, 16*int64(len(b)))
		two, errTwo := List(d, true, false, 16*int64(len(b)))
		if len(Diff(one, two)) > 0 || (errOne == nil) != (errTwo == nil) {
			t.Errorf("listed twice: %v, %v", errOne, errTwo)
		}
		if len(wrong) == 0 && errOne != nil {
			t.Errorf("found good, but cannot be listed: %v", errOne)
		}
	})
}
