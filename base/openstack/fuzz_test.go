package openstack

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseMetaData(f *testing.F) {
	for _, i := range capturedInstances(f) {
		m, err := i.MetaData(Epoxy, bytes.NewReader(make([]byte, seedBytes)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m.Encode())
	}
	f.Add([]byte(`{"uuid":"u","files":[{"path":"/a","content_path":"/content/0000"}],"admin_pass":"p"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetaData(b)
		if err != nil {
			return
		}
		once := m.Encode()
		again, err := ParseMetaData(once)
		if err != nil || !bytes.Equal(once, again.Encode()) {
			t.Errorf("%s\nis not read again as it was written: %v\n%s", once, err, again.Encode())
		}
	})
}

func FuzzParseNetworkData(f *testing.F) {
	for _, i := range capturedInstances(f) {
		f.Add(i.NetworkData().Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseNetworkData(b)
		if err != nil {
			return
		}
		once := n.Encode()
		again, err := ParseNetworkData(once)
		if err != nil || !bytes.Equal(once, again.Encode()) {
			t.Errorf("%s\nis not read again as it was written: %v\n%s", once, err, again.Encode())
		}
	})
}

func FuzzParseVendorData(f *testing.F) {
	f.Add([]byte(siteVendorData))
	f.Add([]byte(`{"n":[1e22,0.1,-0,1E-7,"\ud800"],"n":{"":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseVendorData(b)
		if err != nil {
			return
		}
		again, err := ParseVendorData(v.Encode())
		if err != nil {
			t.Fatalf("%s is not read again: %v", v.Encode(), err)
		}
		if diff := cmp.Diff(string(v.Encode()), string(again.Encode())); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzLookup(f *testing.F) {
	var g golden
	readJSON(f, "testdata/nova-zed.json", &g)
	for path := range g.Instances[0].Responses {
		f.Add(path)
	}
	instances := capturedInstances(f)
	f.Fuzz(func(t *testing.T, path string) {
		for _, i := range instances {
			d, err := i.Lookup(Request{Path: path})
			if err == nil && d.Type == "" || err != nil && err != ErrNoDocument {
				t.Errorf("%q: %q, %v", path, d.Type, err)
			}
		}
	})
}

func FuzzParseInstance(f *testing.F) {
	for _, i := range capturedInstances(f) {
		f.Add(i.Encode())
	}
	f.Add([]byte(`{"uuid":"u","vendor_data":null,"user_data":"","ports":[{"injected":true,"subnets":[{"cidr":"::ffff:1.2.3.4/120","addrs":["::1%a"]}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := ParseInstance(b)
		if err != nil {
			return
		}
		once := i.Encode()
		again, err := ParseInstance(once)
		if err != nil || !bytes.Equal(once, again.Encode()) {
			t.Errorf("%s\nis not read again as it was written: %v", once, err)
		}
		if _, err := i.Drive(&counting{}, nil); err != nil {
			t.Errorf("drive of %s: %v", once, err)
		}
	})
}
