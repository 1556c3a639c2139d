package api_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"imprint/host/api"
	"imprint/host/api/apitest"
)

func textLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// decode reads an object of every kind of field and shows what it read.
func decode(r *api.Request) (api.Response, error) {
	o, err := r.Object("thing")
	if err != nil {
		return api.Response{}, err
	}
	o.Require("name")
	out := fmt.Sprint(o.Name("name", 8), o.Int("count", 3, 1, 9), o.Bool("flag", true), o.Float("ratio", 1, 0, 2),
		o.Addr("addr"), o.Prefix("net"), o.Texts("list", 2), o.Enum("choice", "a", "b"), o.UUID("id"), o.Object("sub").Text("x", 0, 3))
	for _, item := range o.Objects("items", 2) {
		out += item.Multiline("text", 1, 9)
	}
	o.Refuse("never")
	o.Ignore("anything")
	if err := o.Err(); err != nil {
		return api.Response{}, err
	}
	return api.OK(out)
}

func TestObject(t *testing.T) {
	s := service(io.Discard, api.Route{Pattern: "POST /x", Do: decode})
	client := apitest.NewClient(t, s, "admin")
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"thing":{"name":" n "}}`, 200, "n3 true 1"},
		{`{"thing":{"name":"n","count":"7","flag":"off","ratio":0.5,"addr":"::ffff:1.2.3.4","net":"1.2.3.4/8"}}`, 200, "n7 false 0.5 1.2.3.4 1.0.0.0/8"},
		{`{"thing":{"name":"n","never":[],"anything":{"at":"all"},"count":null}}`, 200, "n3"},
		{`{"thing":{"name":"n","items":[{"text":"a\nb"}]}}`, 200, `a\nb`},
		{`{"thing":{}}`, 400, "thing.name. It is required."},
		{`{"thing":{"name":null}}`, 400, "thing.name. It is required."},
		{`{"thing":{"NAME":"n"}}`, 400, "thing.name. It is required."},
		{`{"thing":{"name":["n"]}}`, 400, "thing.name. It must be a text."},
		{`{"thing":{"name":"ninechars"}}`, 400, "thing.name. It is too long: it may have at most 8 characters."},
		{`{"thing":{"name":"a\u0000b"}}`, 400, "thing.name. It has characters that are not printable."},
		{`{"thing":{"name":"a\u202eb"}}`, 400, "thing.name. It has characters that are not printable."},
		{`{"thing":{"name":"n","count":10}}`, 400, "thing.count. It must be a whole number from 1 to 9."},
		{`{"thing":{"name":"n","count":1e99}}`, 400, "thing.count."},
		{`{"thing":{"name":"n","count":true}}`, 400, "thing.count."},
		{`{"thing":{"name":"n","ratio":"NaN"}}`, 400, "thing.ratio."},
		{`{"thing":{"name":"n","flag":"perhaps"}}`, 400, "thing.flag. It must be true or false."},
		{`{"thing":{"name":"n","addr":"fe80::1%eth0"}}`, 400, "thing.addr. It is not a valid IP address."},
		{`{"thing":{"name":"n","net":"1.2.3.4"}}`, 400, "thing.net. It is not a valid IP network."},
		{`{"thing":{"name":"n","list":["a","b","c"]}}`, 400, "thing.list. It may have at most 2 items."},
		{`{"thing":{"name":"n","list":[1]}}`, 400, "thing.list."},
		{`{"thing":{"name":"n","choice":"c"}}`, 400, "thing.choice. It must be one of a, b."},
		{`{"thing":{"name":"n","id":"x"}}`, 400, "thing.id. It is not a valid UUID."},
		{`{"thing":{"name":"n","sub":[]}}`, 400, "thing.sub. It must be an object."},
		{`{"thing":{"name":"n","sub":{"x":"long"}}}`, 400, "thing.sub.x. It is too long"},
		{`{"thing":{"name":"n","sub":{"y":1}}}`, 400, "thing.sub.y. Additional properties are not allowed."},
		{`{"thing":{"name":"n","items":[{"text":"a"},{"text":7}]}}`, 400, "thing.items.1.text. It must be a text."},
		{`{"thing":{"name":"n","never":1}}`, 400, "thing.never. It is not supported."},
		{`{"thing":{"name":"n"},"more":1}`, 400, "more. Additional properties are not allowed."},
		{`{"thing":{"name":"n","a\nb":1}}`, 400, "thing.a?b. Additional properties"},
		{`{"thing":7}`, 400, "thing. It must be an object."},
		{`null`, 400, "it must be a JSON object"},
		{`"x"`, 400, "not the JSON value that is wanted"},
		{`{"thing":{"name":"n"}}{}`, 400, "after the JSON value"},
		{`{"thing":`, 400, "ends too early"},
		{`{]`, 400, "invalid JSON at byte 2"},
	} {
		t.Run(c.body, func(t *testing.T) {
			a := client.Do("POST", "/x", c.body)
			a.T = t
			a.Want(c.status).Says(c.says)
		})
	}
}

// FuzzObject: whatever comes, the answer is 200, 400 or 413, and an accepted
// body is accepted again.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{"thing":{"name":"n"}}`, `{"thing":{"name":"n","items":[{"text":"a"}],"net":"::/0"}}`, `[`, `{"thing":{"id":"` +
		strings.Repeat("a", 36) + `"}}`, `{"thing":{"count":"1","ratio":1e3}}`} {
		f.Add(seed)
	}
	s := service(io.Discard, api.Route{Pattern: "POST /x", Do: decode})
	f.Fuzz(func(t *testing.T, body string) {
		client := apitest.NewClient(t, s, "admin")
		first := client.Do("POST", "/x", body)
		if first.Status != 200 && first.Status != 400 && first.Status != 413 {
			t.Fatalf("status %d: %s", first.Status, first.Body)
		}
		if again := client.Do("POST", "/x", body); string(again.Body) != string(first.Body) {
			t.Fatalf("%s, then %s", first.Body, again.Body)
		}
	})
}

func TestCut(t *testing.T) {
	items := []string{"a", "b", "c", "d"}
	self := func(s string) string { return s }
	for _, c := range []struct {
		page api.Page
		max  int
		want string
		more bool
	}{
		{api.Page{}, 10, "abcd", false},
		{api.Page{}, 3, "abc", true},
		{api.Page{Limit: 2}, 10, "ab", true},
		{api.Page{Limit: 2, Marker: "b"}, 10, "cd", false},
		{api.Page{Marker: "d"}, 10, "", false},
	} {
		got, more, err := api.Cut(items, self, c.page, c.max)
		if err != nil || strings.Join(got, "") != c.want || more != c.more {
			t.Errorf("%+v: %v, %v, %v", c.page, got, more, err)
		}
	}
	if _, _, err := api.Cut(items, self, api.Page{Marker: "x"}, 10); err == nil {
		t.Error("an unknown marker is taken")
	}
}
