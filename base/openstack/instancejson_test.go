package openstack

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sameFacts = cmp.Options{
	cmpopts.EquateEmpty(), cmp.AllowUnexported(VendorData{}),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func TestInstanceIsReadAsItWasWritten(t *testing.T) {
	all := capturedInstances(t)
	all["empty user data"] = &Instance{UUID: "u", UserData: []byte{}}
	all["bare"] = &Instance{UUID: "u"}
	for name, i := range all {
		got, err := ParseInstance(i.Encode())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(i, got, sameFacts); diff != "" || (i.UserData == nil) != (got.UserData == nil) {
			t.Errorf("%s: user data %v, now %v; -written +read\n%s", name, i.UserData, got.UserData, diff)
		}
	}
}

func TestInstanceForm(t *testing.T) {
	i := &Instance{UUID: "u", Name: "<&>", UserData: []byte{0xff}, Files: []InjectedFile{{"/a", []byte("x")}}}
	const want = `{"uuid":"u","project_id":"","name":"\u003c\u0026\u003e","hostname":"","availability_zone":"","launch_index":0,` +
		`"user_data":"/w==","ec2":{"instance_id":"","image_id":"","instance_type":"","reservation_id":""},` +
		`"files":[{"path":"/a","content":"eA=="}]}`
	if diff := cmp.Diff(want, string(i.Encode())); diff != "" {
		t.Error(diff)
	}
}

func TestInstanceRefused(t *testing.T) {
	subnet := func(s string) string { return `{"uuid":"u","ports":[{"id":"p","subnets":[` + s + `]}]}` }
	for in, want := range map[string]string{
		`{}`:                                     "no uuid",
		`[]`:                                     "cannot unmarshal",
		`{"uuid":"u","files":[{}]}`:              "file 0 has no path",
		`{"uuid":"u","user_data":1}`:             "cannot unmarshal",
		`{"uuid":"u","vendor_data":[]}`:          "not a JSON object",
		`{"uuid":"u","ec2":{"public_ips":[""]}}`: "a public address is empty",
		subnet(`{}`):                             `port "p": a subnet has no cidr`,
		subnet(`{"cidr":"10.0.0.0/33"}`):         "prefix length out of range",
		subnet(`{"cidr":"10.0.0.0/8","addrs":["::1"]}`):              `address "::1" is not one of its family`,
		subnet(`{"cidr":"10.0.0.0/8","addrs":[null]}`):               `address "" is not one of its family`,
		subnet(`{"cidr":"10.0.0.0/8","dns":[""]}`):                   "a name server is empty",
		subnet(`{"cidr":"10.0.0.0/8","routes":[{"gateway":"::1"}]}`): "a route lacks its destination or gateway",
	} {
		if _, err := ParseInstance([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}
