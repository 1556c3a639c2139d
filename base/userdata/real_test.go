package userdata

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/cloudconfig"
)

// realPython asks the real cloud-init's modules.
const realPython = `
import base64, json, logging, sys
sys.path.append(sys.argv[1] + "/usr/lib/python3/dist-packages")
from cloudinit import handlers, user_data
from cloudinit.handlers import jinja_template
logging.disable(logging.CRITICAL)
class Paths:
    def get_ipath_cur(self, name=None): return "%s/%s" % (sys.argv[2], name)
    get_cpath = get_ipath_cur
def parts(raw):
    msg = user_data.UserDataProcessor(Paths()).process(raw)
    out = []
    def callback(data, filename, payload, headers):
        if isinstance(payload, str): payload = payload.encode("utf-8", "surrogateescape")
        out.append({"Type": headers["Content-Type"], "Filename": filename, "Body": base64.b64encode(payload or b"").decode(),
            "launch_index": headers.get("Launch-Index", "").strip(), "merge_type": (headers.get("Merge-Type", "") or headers.get("X-Merge-Type", "")).replace("\n", "")})
    handlers.walk(msg, callback, None)
    return out
def render(text, data):
    missing = []
    jinja_template.LOG.warning = lambda *a: missing.append(a[0] % a[1:])
    return {"Text": jinja_template.render_jinja_payload(text, "part-001", data), "Warnings": missing}
asked = json.load(sys.stdin)
out = {"Parts": [], "Texts": []}
for raw in asked["Raws"]:
    try:
        out["Parts"].append({"Parts": parts(base64.b64decode(raw))})
    except Exception as e:
        out["Parts"].append({"Error": "%s: %s" % (type(e).__name__, e)})
for text in asked["Templates"]:
    try:
        out["Texts"].append(render(text, json.loads(asked["Data"])))
    except Exception as e:
        out["Texts"].append({"Error": "%s: %s" % (type(e).__name__, e)})
json.dump(out, sys.stdout)
`

type realAnswers struct {
	Parts []struct {
		Parts []goldenPart
		Error string
	}
	Texts []struct {
		Text, Error string
		Warnings    []string
	}
}

func askReal(t *testing.T, raws [][]byte, templates []string, data string) realAnswers {
	t.Helper()
	tree := exec.Command("../../test/debian-tree")
	var said bytes.Buffer
	tree.Stderr = &said
	root, err := tree.Output()
	if tree.ProcessState != nil && tree.ProcessState.ExitCode() == 2 {
		t.Skip(said.String())
	}
	if err != nil {
		t.Fatalf("debian-tree: %v\n%s", err, &said)
	}
	in, err := json.Marshal(map[string]any{"Raws": raws, "Templates": templates, "Data": data})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", realPython, strings.TrimSpace(string(root)), t.TempDir())
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers realAnswers
	if err := json.Unmarshal(out, &answers); err != nil || len(answers.Parts) != len(raws) || len(answers.Texts) != len(templates) {
		t.Fatalf("%d and %d answers: %v", len(answers.Parts), len(answers.Texts), err)
	}
	return answers
}

// maker makes user data of pieces that matter; includes name files of dir.
type maker struct {
	*rand.Rand
	dir string
}

func (m maker) pick(words ...string) string { return words[m.IntN(len(words))] }

func (m maker) body() string {
	return m.pick("#cloud-config\na: 1\n", "#cloud-config\nlaunch-index: 3\n", "#!/bin/sh\necho\n", "#cloud-boothook\n#!/bin/sh\n", "#part-handler\n", "\n #!/bin/sh\n",
		"## template: jinja\n#cloud-config\n", "#cloud-config-jsonp\n[]\n", "plain\n", "", "#CLOUD-config\n", "#include\nfile://"+m.dir+"/a\n", "#include-once file://"+m.dir+"/b\n\n# c\nfile://"+m.dir+"/a",
		"#cloud-config-archive\n"+m.archive(), "#upstart-job\n", "#cloud-confi\n", "text/x-shellscript-per-boot\n")
}

func (m maker) archive() string {
	var b strings.Builder
	for range m.IntN(4) {
		b.WriteString(m.pick(`- "#!/bin/sh\necho"`, "- {content: \"#cloud-config\\na: b\"}", "- {content: x, type: text/x-shellscript, filename: n.sh, launch-index: 2}",
			"- {content: x, Merge-Type: list(append)+dict(), X-Other: y}", "- {type: text/cloud-boothook}", "- {content: !!binary IyEvYmluL3No}", "- {content: x, type: application/octet-stream}", "- 5", "- {filename: q w}",
			"- {content: \"#include\\nfile:///nope\"}", "- {content: x, type: ''}") + "\n")
	}
	return b.String()
}

func (m maker) part(depth int) string {
	if depth > 0 && m.IntN(5) == 0 {
		return m.multipart(depth - 1)
	}
	body, encoding := m.body(), ""
	switch m.IntN(6) {
	case 0:
		body, encoding = base64.StdEncoding.EncodeToString([]byte(body)), "Content-Transfer-Encoding: base64\n"
	case 1:
		body, encoding = strings.ReplaceAll(strings.ReplaceAll(body, "=", "=3D"), "#", "=23"), m.pick("Content-Transfer-Encoding: quoted-printable\n", "content-transfer-encoding: Quoted-Printable \n")
	case 2:
		encoding = m.pick("Content-Transfer-Encoding: 7bit\n", "Content-Transfer-Encoding: 8bit\n", "Content-Transfer-Encoding: x-uuencode\n")
	}
	kind := m.pick("text/plain", "text/cloud-config", "text/x-shellscript", "text/x-shellscript-per-boot", "text/cloud-boothook", "text/x-include-url", "text/x-not-multipart", "text/jinja2",
		"application/octet-stream", "text/part-handler", "text/cloud-config-jsonp", "TEXT/Cloud-Config", "text/html", "bad", "text/cloud-config; charset=\"us-ascii\"; name=\"ct name\"")
	if kind == "text/x-include-url" {
		body = "file://" + m.dir + "/a\n"
		if encoding != "" {
			encoding = "Content-Transfer-Encoding: 7bit\n"
		}
	}
	head := "Content-Type: " + kind + "\n"
	if m.IntN(6) == 0 {
		head = ""
	}
	return head + encoding + m.pick("", "", "MIME-Version: 1.0\n", "Content-Disposition: attachment; filename=\"f one.sh\"\n", "Content-Disposition: attachment; filename*=utf-8''a%20b\n", "Content-Disposition: inline;\n filename=folded\n") +
		m.pick("", "", "Launch-Index: 4\n", "Launch-Index: x\n", "launch-index: 1\n") + m.pick("", "", "Merge-Type: list(append)\n", "X-Merge-Type: dict()\n", "merge-type: str()\n") + "\n" + body
}

func (m maker) multipart(depth int) string {
	boundary := fmt.Sprintf("B%d", m.IntN(1000))
	var b strings.Builder
	b.WriteString(m.pick("MIME-Version: 1.0\n", "Mime-version: 1.0\nX: y\n") + "Content-Type: multipart/" + m.pick("mixed", "alternative") + "; boundary=" + m.pick(boundary, `"`+boundary+`"`) + "\n\n" + m.pick("", "preamble\n"))
	for range m.IntN(4) {
		b.WriteString("--" + boundary + m.pick("\n", "\n", "  \n") + m.part(depth) + "\n")
	}
	b.WriteString(m.pick("--"+boundary+"--\n", "--"+boundary+"--", "--"+boundary+"--\nepilogue\n", ""))
	return b.String()
}

func (m maker) raw(t *testing.T) []byte {
	text := m.pick(m.body(), m.multipart(2), m.multipart(2), m.multipart(2))
	if m.IntN(4) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if m.IntN(6) == 0 {
		return compress(t, []byte(text))
	}
	return []byte(text)
}

func TestAsRealCloudInit(t *testing.T) {
	dir := t.TempDir()
	m := maker{rand.New(rand.NewPCG(7, 8)), dir}
	for name, text := range map[string]string{"a": "#cloud-config\nfrom: a\n", "b": m.multipart(1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var raws [][]byte
	for range 1500 {
		raws = append(raws, m.raw(t))
	}
	fetch := func(i Include) ([]byte, error) { return os.ReadFile(strings.TrimPrefix(i.URL, "file://")) }
	failed := 0
	for i, want := range askReal(t, raws, []string{}, "{}").Parts {
		parts, problems := Parse(raws[i], Options{Fetch: fetch})
		if want.Error != "" {
			failed++
			if len(problems) == 0 {
				t.Errorf("%q\n no problem, want %s", raws[i], want.Error)
			}
			continue
		}
		for i := range want.Parts { // what is no number filters nothing there
			if _, err := strconv.Atoi(want.Parts[i].LaunchIndex); err != nil {
				want.Parts[i].LaunchIndex = ""
			}
		}
		if diff := cmp.Diff(want.Parts, asGolden(parts)); diff != "" && len(want.Parts)+len(parts) > 0 {
			t.Errorf("%q\n%s\n%+v", raws[i], diff, problems)
		}
	}
	t.Logf("%d inputs, %d given up", len(raws), failed)
}

func asGolden(parts []Part) []goldenPart {
	var out []goldenPart
	for _, p := range parts {
		g := goldenPart{Type: p.Type, Filename: p.Filename, Body: append([]byte{}, p.Body...), MergeType: p.MergeType}
		if p.LaunchIndex >= 0 {
			g.LaunchIndex = strconv.Itoa(p.LaunchIndex)
		}
		out = append(out, g)
	}
	return out
}

const realData = `{
 "base64_encoded_keys": [], "base64-encoded-keys": ["ds/user-data", "v1/q/x_y"], "merged_cfg": {"a": null}, "sensitive_keys": [],
 "ds": {"_doc": "x", "user-data": "aGVsbG8=", "meta_data": {"instance-id": "i-1", "a.b-c": [1, {"k-k": 2}], "big": 123456789012345678901234567890, "f": 1.50}},
 "v1": {"_beta_keys": ["subplatform"], "availability-zone": null, "cloud-name": "nova", "local_hostname": "h", "q": {"x_y": "eHk="}},
 "v2": {"cloud-name": "two"}, "z-last": true, "cloud_name": "top", "user.network-config//x": {"é": "ü"}
}`

func TestTemplatesAsRealCloudInit(t *testing.T) {
	var templates []string
	for _, text := range []string{
		"{{ v1 }}", "{{ ds }}", "{{ cloud_name }} {{ local_hostname }} {{ q }} {{ z_last }} {{ v1.availability_zone }}", "{{ ds.user_data }} {{ v1.q.x_y }}", "{{ ds.meta_data.a_b_c }} {{ ds['meta_data']['a.b-c'] }}",
		"{{ user_network_config_x }}", "{{ nosuch }} {{ v1.nosuch }} {{ ds.meta_data.none }}", "{{ v1.no-such }}", "{{ nosuch.x }}", "{{ 1 / 0 }}", "{% if", "a\n\n", "", "\n", "{{ ds.meta_data.big }} {{ ds.meta_data.f }}",
		"{% for k in v1 %}{{ k }},{% endfor %}", "{% if nosuch is defined %}x{% endif %}\ny\n", "#cloud-config\n{% if 1 %}\na: {{ v1.cloud_name }}\n{% endif %}\n", "{{ v2.cloud_name }}{{ merged_cfg }}{{ base64_encoded_keys }}",
		"{{ nosuch }}{{ nosuch2 }}", "{{ ds.meta_data['a.b-c'][1]['k-k'] }}{{ ds.meta_data['a.b-c'][1].k_k }}",
	} {
		templates = append(templates, "## template: jinja\n"+text, "##template:JINJA \r\n"+text)
	}
	templates = append(templates, "## template: jinja")
	data, err := cloudconfig.ParseJSON([]byte(realData))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range askReal(t, [][]byte{}, templates, realData).Texts {
		text, missing, err := RenderTemplate(templates[i], data)
		failed := want.Error != "" || len(want.Warnings) > 0 && strings.HasPrefix(want.Warnings[0], "Ignoring")
		if text != want.Text || (err != nil) != failed {
			t.Errorf("%q\n got %q, %v\nwant %+v", templates[i], text, err, want)
		}
		if !failed && len(want.Warnings) > 0 != (len(missing) > 0) || len(missing) > 0 && !strings.HasSuffix(want.Warnings[0], "'"+strings.Join(missing, "', '")+"'") {
			t.Errorf("%q\n misses %q, want %q", templates[i], missing, want.Warnings)
		}
	}
}
