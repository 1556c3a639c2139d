package configdrive

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"imprint/base/openstack"
)

// BenchmarkWriteFile makes the drive of a captured instance as a node does.
func BenchmarkWriteFile(b *testing.B) {
	text, err := os.ReadFile("../../base/openstack/testdata/instances.json")
	if err != nil {
		b.Fatal(err)
	}
	var all []*openstack.Instance
	if err := json.Unmarshal(text, &all); err != nil {
		b.Fatal(err)
	}
	for _, format := range []Format{ISO9660, VFAT} {
		b.Run(string(format), func(b *testing.B) {
			name := filepath.Join(b.TempDir(), "disk.config")
			b.ReportAllocs()
			for b.Loop() {
				if err := (Volume{Format: format, Created: created}).WriteFile(name, all[2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
