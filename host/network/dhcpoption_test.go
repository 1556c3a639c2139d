package network_test

import "testing"

func TestExtraDHCPOptions(t *testing.T) {
	w := newWorld(t)
	opt := func(name string, value any) object { return object{"opt_name": name, "opt_value": value} }
	made := w.port(object{"extra_dhcp_opts": []object{opt("bootfile-name", "pxelinux.0"), opt("router", ""), opt("mtu", nil)}}).Want(201)
	made.Says(`"extra_dhcp_opts":[{"opt_name":"bootfile-name","opt_value":"pxelinux.0","ip_version":4},{"opt_name":"router","opt_value":"","ip_version":4}]`)
	id := made.Text("port.id")
	put := func(opts ...object) string {
		t.Helper()
		a := w.a.Do("PUT", "/v2.0/ports/"+id, object{"port": object{"extra_dhcp_opts": opts}}).Want(200)
		return string(a.Body)
	}
	for range 2 { // the same twice
		put(opt("bootfile-name", "other.0"), opt("router", nil), object{"opt_name": "dns-server", "opt_value": "[2001:db8::1]", "ip_version": "6"})
	}
	w.a.Do("GET", "/v2.0/ports/"+id, nil).Says(
		`"extra_dhcp_opts":[{"opt_name":"bootfile-name","opt_value":"other.0","ip_version":4},{"opt_name":"dns-server","opt_value":"[2001:db8::1]","ip_version":6}]`)
	before := w.store.Dump()
	for name, bad := range map[string]any{
		"line break":        []object{opt("bootfile-name", "a\nb")},
		"nul":               []object{opt("bootfile-name", "a\x00b")},
		"line break, name":  []object{opt("boot\nfile", "a")},
		"no name":           []object{{"opt_value": "x"}},
		"empty":             []object{opt("bootfile-name", "")},
		"long":              []object{opt("bootfile-name", string(make([]byte, 256)))},
		"version":           []object{{"opt_name": "x", "opt_value": "y", "ip_version": 5}},
		"twice":             []object{opt("mtu", "1400"), opt("mtu", "1300")},
		"something unknown": []object{{"opt_name": "x", "opt_value": "y", "foo": 1}},
		"no list":           "x",
	} {
		t.Run(name, func(t *testing.T) {
			w.a.Do("PUT", "/v2.0/ports/"+id, object{"port": object{"extra_dhcp_opts": bad}}).Want(400)
		})
	}
	if w.store.Dump() != before {
		t.Error("a refused change changed something")
	}
}
