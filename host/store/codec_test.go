package store

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
)

func testCodec(t testing.TB) *codec {
	t.Helper()
	s, err := newSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return newCodec(s)
}

func fieldsOfValue(t *testing.T, value []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(value, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUnknownFieldsSurvive(t *testing.T) {
	e := NewMemory()
	s := openMemory(t, e)
	key := recordKey(cloud.KindServer, "s1")
	mustTxn(t, e, nil, put(key, `{
		"schema": 7, "id": "s1", "name": "old", "description": "to be cleared", "fault": "cleared too",
		"novel": {"a": [1, 2.50]}, "novel_number": 12345678901234567890,
		"created_at": "2024-01-01T00:00:00Z",
		"flavor": {"name": "m1", "novel_inside": true}}`))
	create(t, s, project("after", "after")) // the feed has passed the server
	server := copyOf(t, s, func(m *cloud.Model) *cloud.Server { return m.Servers["s1"] })
	server.Name, server.Description, server.Fault = "new", "", ""
	create(t, s, server)
	kv, err := e.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	got := fieldsOfValue(t, kv.Value)
	if got["name"] != "new" || got["schema"] != 7.0 || got["created_at"] != "2024-01-01T00:00:00Z" {
		t.Errorf("known fields: %v", got)
	}
	if got["description"] != nil || got["fault"] != nil {
		t.Errorf("cleared fields came back: %v", got)
	}
	if !bytes.Contains(kv.Value, []byte("12345678901234567890")) || !bytes.Contains(kv.Value, []byte(`{"a":[1,2.50]}`)) {
		t.Errorf("unknown fields changed: %s", kv.Value)
	}
	if flavor := got["flavor"].(map[string]any); flavor["novel_inside"] != true || flavor["name"] != "m1" {
		t.Errorf("unknown field of an inner object: %v", flavor)
	}
}

// TestNoFieldOfOursIsUnknown guards the field table against every form of tag
// and type that records have.
func TestNoFieldOfOursIsUnknown(t *testing.T) {
	c := testCodec(t)
	for _, k := range allKinds() {
		r := cloud.NewRecord(k)
		value, err := json.Marshal(filled(reflect.TypeOf(r).Elem()).Addr().Interface())
		if err != nil {
			t.Fatal(err)
		}
		var fields object
		if err := json.Unmarshal(value, &fields); err != nil {
			t.Fatal(err)
		}
		extra, err := c.unknown(reflect.TypeOf(r), fields)
		if err != nil || extra != nil {
			t.Errorf("%s: unknown %s, %v", k, extra, err)
		}
		for _, name := range secretFields(k) {
			if f, ok := c.fieldsOf(reflect.TypeOf(r))[name]; !ok || f.Kind() != reflect.String {
				t.Errorf("%s has no text field %s", k, name)
			}
		}
	}
}

func allKinds() []cloud.RecordKind {
	return []cloud.RecordKind{
		cloud.KindProject, cloud.KindUser, cloud.KindKeyPair, cloud.KindImage, cloud.KindFlavor, cloud.KindServer,
		cloud.KindNetwork, cloud.KindSubnet, cloud.KindPort, cloud.KindRouter, cloud.KindNode,
	}
}

// filled returns a value whose fields are not empty, so that omitempty keeps them.
func filled(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Slice:
		v.Set(reflect.Append(v, filled(t.Elem())))
	case reflect.Struct:
		if hasOwnForm(t) {
			break
		}
		for i := range t.NumField() {
			v.Field(i).Set(filled(t.Field(i).Type))
		}
	}
	return v
}

func TestSecretsAreSealed(t *testing.T) {
	e := NewMemory()
	s := openMemory(t, e)
	u := &cloud.User{UserID: "u1", Name: "cloudman", PasswordHash: "$6$salt$hash"}
	create(t, s, u, &cloud.User{UserID: "u2", Name: "other", PasswordHash: "$6$salt$hash"})
	kvs, _, err := e.List(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	sealed := map[string]string{}
	for _, kv := range kvs {
		if bytes.Contains(kv.Value, []byte("salt")) {
			t.Errorf("%s is readable: %s", kv.Key, kv.Value)
		}
		if strings.Contains(kv.Key, "/user/") {
			sealed[kv.Key] = fieldsOfValue(t, kv.Value)["password_hash"].(string)
		}
	}
	one, two := sealed[recordKey(cloud.KindUser, "u1")], sealed[recordKey(cloud.KindUser, "u2")]
	if !strings.HasPrefix(one, sealPrefix) || one == two {
		t.Errorf("sealed as %q and %q", one, two)
	}
	got := copyOf(t, s, func(m *cloud.Model) *cloud.User { return m.Users["u1"] })
	if diff := cmp.Diff(u, got); diff != "" {
		t.Error(diff)
	}

	// What lies in the store cannot be put in another's place, or be open text.
	place := recordKey(cloud.KindUser, "u1") + "#password_hash"
	for name, text := range map[string]string{
		"another user's": two, "open text": "$6$salt$hash", "cut": one[:len(one)-4],
		"no nonce": sealPrefix + "AAAA", "not base64": sealPrefix + "?", "empty": "",
	} {
		if plain, err := s.codec.seal.open(place, text); err == nil {
			t.Errorf("%s is accepted as %q", name, plain)
		}
	}
}

func TestDamagedRecords(t *testing.T) {
	for name, value := range map[string]string{
		"no JSON":       `{"id": "p1"`,
		"another's":     `{"id": "p2"}`,
		"null":          `null`,
		"list":          `[]`,
		"wrong type":    `{"id": "p1", "name": 5}`,
		"open password": `{"id": "p1", "password_hash": "$6$"}`,
		"empty":         ``,
	} {
		t.Run(name, func(t *testing.T) {
			kind := cloud.KindProject
			if name == "open password" {
				kind = cloud.KindUser
			}
			e, key := NewMemory(), recordKey(kind, "p1")
			s := openMemory(t, unclosed{e})
			if kind == cloud.KindProject { // the feed keeps the last good version
				create(t, s, project("p1", "good"))
				mustTxn(t, e, nil, put(key, value))
				create(t, s, project("after", "after"))
				if p := copyOf(t, s, storedProject("p1")); p.Name != "good" {
					t.Errorf("the feed took %+v", p)
				}
				wantConflict(t, s.Commit(t.Context(), cloud.Txn{Put: []cloud.Record{copyOf(t, s, storedProject("p1"))}}), "project p1 has changed meanwhile")
			} else {
				mustTxn(t, e, nil, put(key, value))
			}
			err := newState().apply(s.codec, []Event{{KV: KV{Key: key, Value: []byte(value)}}}, 1)
			if err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("reading it at the start: %v", err)
			}
		})
	}
}

func TestKeysOfOthersAreLeft(t *testing.T) {
	e := NewMemory()
	s := openMemory(t, e)
	foreign := []string{root + "volume/v1", root + "novel", root + "project/%zz", "/elsewhere"}
	for _, key := range foreign {
		mustTxn(t, e, nil, put(key, "?"))
	}
	create(t, s, project("a/b c", "x/y"))
	if p := copyOf(t, s, storedProject("a/b c")); p.Name != "x/y" {
		t.Errorf("%+v", p)
	}
	for _, key := range append(foreign, root+"project/a%2Fb%20c", root+"claim/project-name/x%2Fy") {
		if kv, err := e.Get(t.Context(), key); kv.Revision == 0 || err != nil {
			t.Errorf("%s is gone: %v", key, err)
		}
	}
}

// FuzzDecode reads what could lie in the store; what it accepts is the same
// after it was written again.
func FuzzDecode(f *testing.F) {
	f.Add("server", []byte(`{"id":"x","flavor":{"novel":1},"novel":{"a":[1]},"created_at":"2024-01-01T00:00:00Z"}`))
	f.Add("port", []byte(`{"id":"x","fixed_ips":[{"ip_address":"10.0.0.1"}],"mac":"fa:16:3e:00:00:01"}`))
	f.Add("user", []byte(`{"id":"x","password_hash":"`+testCodec(f).seal.seal(recordKey(cloud.KindUser, "x")+"#password_hash", "$6$")+`"}`))
	f.Fuzz(func(t *testing.T, kind string, value []byte) {
		k, c := cloud.RecordKind(kind), testCodec(t)
		if cloud.NewRecord(k) == nil {
			return
		}
		kv := KV{Key: recordKey(k, "x"), Value: value, Revision: 1}
		r, extra, err := c.decode(kv, k, "x")
		if err != nil {
			return
		}
		if kv.Value, err = c.encode(r, extra); err != nil {
			t.Skip(err) // a time or a number that JSON reads but does not write
		}
		r2, extra2, err := c.decode(kv, k, "x")
		if err != nil {
			t.Fatalf("written again: %v\n%s", err, kv.Value)
		}
		again, err := c.encode(r2, extra2)
		if err != nil || k != cloud.KindUser && !bytes.Equal(again, kv.Value) {
			t.Errorf("%v\n%s\n%s", err, kv.Value, again)
		}
	})
}
