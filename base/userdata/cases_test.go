package userdata

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/cloudconfig"
)

// seedCase is a NoCloud seed and the files that the real cloud-init 22.4.2
// (Debian 12) made of its parts on a machine: the merged cloud-config, scripts
// and boothooks.
type seedCase struct {
	Name         string
	User, Vendor []byte
	Web          map[string][]byte // served at 169.254.169.254
	Files        map[string]string
}

const instanceData = `{
 "ds": {"meta_data": {"instance_id": "i-jinja"}},
 "v1": {"local_hostname": "jinja-host", "instance_id": "ID", "cloud_name": "unknown", "distro": "debian", "distro_release": "bookworm", "machine": "x86_64"}
}`

// handled takes parts as cloud-init's handlers do, but keeps the files.
type handledParts struct {
	files  map[string]string
	config *cloudconfig.Node
	names  []string
	data   *cloudconfig.Node
}

func (h *handledParts) take(p Part, scripts string) error {
	p, _, ok := Render(p, h.data)
	if !ok {
		return nil
	}
	name := CleanFilename(p.Filename)
	var err error
	switch p.Type {
	case TypeCloudConfig:
		var doc, merged *cloudconfig.Node
		if doc, err = cloudconfig.ParseMap(p.Body); err == nil {
			merged, err = cloudconfig.MergePart(h.config, doc, p.MergeType)
		}
		return h.merged(merged, p.Filename, err)
	case TypeCloudConfigJSONP:
		merged, err := cloudconfig.PatchPart(h.config, p.Body)
		return h.merged(merged, p.Filename, err)
	case TypeScript:
		h.files[path.Join(scripts, name)] = string(p.Body)
	case TypeScriptPerBoot, TypeScriptPerInst, TypeScriptPerOnce:
		h.files["/scripts/"+strings.TrimPrefix(p.Type, TypeScript+"-")+"/"+name] = string(p.Body)
	case TypeBoothook:
		h.files["boothooks/"+name] = string(bytes.TrimLeft(bytes.TrimPrefix(p.Body, []byte("#cloud-boothook")), " \t\r\n"))
	}
	return nil
}

func (h *handledParts) merged(n *cloudconfig.Node, name string, err error) error {
	if err == nil {
		h.config = n
		h.names = append(h.names, name)
	} else if h.config == nil {
		h.config = cloudconfig.NewMap()
	}
	return err
}

func (h *handledParts) document() string {
	if h.config == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("#cloud-config\n\n")
	if len(h.names) > 0 {
		b.WriteString("# from " + string(rune('0'+len(h.names))) + " files\n# " + strings.Join(h.names, "\n# ") + "\n\n")
	}
	b.Write(cloudconfig.Dump(h.config))
	return b.String()
}

func (c seedCase) handle(t *testing.T, raw []byte, config, scripts string) (map[string]string, bool) {
	id := "i-oracle"
	if c.Name == "jinja" {
		id = "i-jinja"
	}
	data, err := cloudconfig.ParseJSON([]byte(strings.Replace(instanceData, "ID", id, 1)))
	if err != nil {
		t.Fatal(err)
	}
	parts, problems := Parse(raw, Options{Fetch: func(i Include) ([]byte, error) {
		body, ok := c.Web[path.Base(i.URL)]
		if !ok {
			return nil, errors.New("404")
		}
		return body, nil
	}})
	h := &handledParts{files: map[string]string{}, data: data}
	for _, p := range parts {
		if err := h.take(p, scripts); err != nil {
			t.Logf("%s: %v", p.Filename, err)
		}
	}
	h.files[config] = h.document()
	fatal := false
	for _, p := range problems {
		t.Logf("%+v", p)
		fatal = fatal || p.Fatal
	}
	return h.files, fatal
}

func TestSeedsAsCloudInit(t *testing.T) {
	data, err := os.ReadFile("testdata/cases-22.4.2.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []seedCase
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) < 60 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got, fatal := c.handle(t, c.User, "cloud-config.txt", "scripts")
			if fatal { // the real one gives up all of it
				return
			}
			if len(c.Vendor) > 0 && !strings.Contains(got["cloud-config.txt"], "vendor_data:\n    enabled: false\n") {
				more, _ := c.handle(t, c.Vendor, "vendor-cloud-config.txt", "scripts/vendor")
				for name, body := range more {
					got[name] = body
				}
			}
			for name, body := range got { // an empty one is not in the capture
				if _, ok := c.Files[name]; !ok && body == "" {
					delete(got, name)
				}
			}
			if diff := cmp.Diff(c.Files, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}
