package image_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
	"imprint/host/image"
)

type object = map[string]any

type world struct {
	store *apitest.Store
	role  *image.Role
	a, b  *apitest.Client
}

func newWorld(t *testing.T) *world {
	w := &world{store: apitest.NewStore(time.Now)}
	w.role = image.New(image.Options{Store: w.store, Blobs: apitest.NewBlobs(), MaxSize: 16, Auth: apitest.Callers{
		"a": {UserID: "ua", ProjectID: "a"}, "b": {UserID: "ub", ProjectID: "b"}}})
	w.a, w.b = apitest.NewClient(t, w.role.Handler(), "a"), apitest.NewClient(t, w.role.Handler(), "b")
	return w
}

func (w *world) image(o object) string {
	for k, v := range (object{"name": "i", "disk_format": "qcow2", "container_format": "bare"}) {
		if _, ok := o[k]; !ok {
			o[k] = v
		}
	}
	return w.a.Do("POST", "/v2/images", o).Want(201).Text("id")
}

func upload(c *apitest.Client, id, bytes string) *apitest.Answer {
	return c.With("Content-Type", "application/octet-stream").Do("PUT", "/v2/images/"+id+"/file", bytes)
}

func TestUpload(t *testing.T) {
	w := newWorld(t)
	id := w.image(object{"k": "v"})
	show := func() *apitest.Answer { return w.a.Do("GET", "/v2/images/"+id, nil).Want(200) }
	w.a.Do("GET", "/v2/images/"+id+"/file", nil).Want(204)
	upload(w.b, id, "hers").Want(404)
	upload(w.a, id, strings.Repeat("x", 17)).Want(413)
	if a := show(); a.Text("status") != "queued" || a.Get("size") != nil {
		t.Errorf("after a failure: %s", a.Body)
	}
	upload(w.a, id, "abc").Want(204)
	a := show()
	if a.Text("status") != "active" || a.Get("size") != 3.0 || a.Text("checksum") != "900150983cd24fb0d6963f7d28e17f72" ||
		!strings.HasPrefix(a.Text("os_hash_value"), "ddaf35a193617aba") || a.Get("virtual_size") != nil {
		t.Errorf("the image is %s", a.Body)
	}
	got := w.a.Do("GET", "/v2/images/"+id+"/file", nil).Want(200)
	if string(got.Body) != "abc" || got.Header.Get("Content-Md5") != a.Text("checksum") {
		t.Errorf("download %q, %v", got.Body, got.Header)
	}
	upload(w.a, id, "def").Want(409)
}

type broken struct{}

func (broken) Read(p []byte) (int, error) { return 0, errors.New("connection lost") }

func TestBrokenUpload(t *testing.T) {
	w := newWorld(t)
	id := w.image(object{})
	before := w.store.Dump()
	req := httptest.NewRequest("PUT", "http://cloud.test/v2/images/"+id+"/file", io.MultiReader(strings.NewReader("ab"), broken{}))
	req.Header.Set("X-Auth-Token", "a")
	req.Header.Set("Content-Type", "application/octet-stream")
	rec := httptest.NewRecorder()
	w.role.Handler().ServeHTTP(rec, req)
	if rec.Code != 400 || w.store.Dump() != before {
		t.Errorf("status %d, state %s", rec.Code, w.store.Dump())
	}
}

func TestPatch(t *testing.T) {
	w := newWorld(t)
	id := w.image(object{"a": "1"})
	patch := func(c *apitest.Client, changes ...object) *apitest.Answer {
		return c.With("Content-Type", "application/openstack-images-v2.1-json-patch").Do("PATCH", "/v2/images/"+id, changes)
	}
	a := patch(w.a, object{"op": "replace", "path": "/name", "value": "new"}, object{"op": "add", "path": "/x~1y", "value": "2"},
		object{"op": "remove", "path": "/a"}, object{"op": "replace", "path": "/protected", "value": true},
		object{"op": "replace", "path": "/visibility", "value": "private"}).Want(200)
	if a.Text("name") != "new" || a.Text("x/y") != "2" || a.Get("a") != nil || a.Get("protected") != true || a.Text("visibility") != "private" {
		t.Errorf("patched: %s", a.Body)
	}
	before := w.store.Dump()
	w.a.Do("DELETE", "/v2/images/"+id, nil).Want(403).Says("protected")
	patch(w.a, object{"op": "replace", "path": "/name", "value": "half"}, object{"op": "remove", "path": "/none"}).Want(409)
	patch(w.a, object{"op": "replace", "path": "/visibility", "value": "public"}).Want(403)
	patch(w.a, object{"op": "replace", "path": "/status", "value": "active"}).Want(403)
	patch(w.a, object{"op": "replace", "path": "/id", "value": "x"}).Want(403)
	patch(w.a, object{"op": "move", "path": "/name"}).Want(400)
	patch(w.a, object{"op": "add", "path": "/a/b", "value": "x"}).Want(400)
	patch(w.a, object{"op": "add", "path": "/k", "value": 1}).Want(400)
	patch(w.b, object{"op": "replace", "path": "/name", "value": "hers"}).Want(404)
	if w.store.Dump() != before {
		t.Error("a refused patch changed something")
	}
}

func TestList(t *testing.T) {
	w := newWorld(t)
	w.store.Seed(&cloud.Image{ImageID: "p", Owner: "c", Name: "shared with all", Visibility: "public", Status: "active", DiskFormat: "raw"})
	w.image(object{"name": "one", "tags": []string{"t"}, "kind": "web"})
	w.image(object{"name": "two", "visibility": "private"})
	w.image(object{"name": "three", "os_hidden": true})
	names := func(c *apitest.Client, query string) string {
		var out []string
		for _, i := range c.Do("GET", "/v2/images"+query, nil).Want(200).Get("images").([]any) {
			out = append(out, i.(object)["name"].(string))
		}
		return strings.Join(out, ",")
	}
	for query, want := range map[string]string{
		"": "two,one,shared with all", "?name=one": "one", "?visibility=private": "two", "?visibility=all": "two,one,shared with all",
		"?status=active": "shared with all", "?tag=t": "one", "?kind=web": "one", "?kind=db": "", "?name=in:one,two": "two,one",
		"?os_hidden=true": "three", "?limit=1": "two", "?disk_format=raw": "shared with all",
	} {
		if got := names(w.a, query); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
	if got := names(w.b, ""); got != "shared with all" {
		t.Errorf("another project sees %s", got)
	}
	next := w.a.Do("GET", "/v2/images?limit=2", nil).Text("next")
	if got := names(w.a, strings.TrimPrefix(next, "/v2/images")); got != "shared with all" {
		t.Errorf("the next page %s is %s", next, got)
	}
}
