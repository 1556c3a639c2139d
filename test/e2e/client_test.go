package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "let the stock client print a real Zed's recorded answers and keep the fields")

// fieldsFile says what fields python-openstackclient 6.0.0 prints of the
// answers that a real Zed gave it.
const fieldsFile = "testdata/client-fields.json"

// apart are fields that the real answers have and ours have not, and why.
var apart = map[string]string{
	"server create adminPass": "nothing would set it; as with nova's enable_instance_password=False",
}

// TestClient has the stock client work with a running cloud, as the scripts
// in testdata/client say. What it prints as JSON has the real answers' fields.
func TestClient(t *testing.T) {
	needRoot(t)
	if _, err := exec.LookPath("openstack"); err != nil {
		t.Skipf("needs python3-openstackclient: %v", err)
	}
	c := &client{fields: wantedFields(t)}
	dir := stateDir(t)
	up(t, "--state-dir", dir, "--config", configuration(t, "e2c-", 15060, ""))
	testscript.Run(t, testscript.Params{
		Dir: "testdata/client",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("OS_CLOUD", "imprint")
			env.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(dir, "clouds.yaml"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"openstack": c.openstack, "until": c.until, "keep": keep},
	})
}

// wantedFields are the fields by a command's first two words.
func wantedFields(t *testing.T) (fields map[string][]string) {
	t.Helper()
	if *update {
		text, err := json.MarshalIndent(fieldsOfZed(t), "", " ")
		if err == nil {
			err = os.WriteFile(fieldsFile, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(fieldsFile)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

// client is the stock client in a script.
type client struct{ fields map[string][]string }

// openstack runs the client. What it prints as JSON is compared with what it
// prints of the real answers, unless another microversion is asked for.
func (c *client) openstack(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("openstack", args...)
	switch {
	case neg && err == nil:
		ts.Fatalf("openstack %s: it succeeded", strings.Join(args, " "))
	case !neg && err != nil:
		ts.Fatalf("openstack %s: %v", strings.Join(args, " "), err)
	}
	if !neg && slices.Contains(args, "json") && !slices.Contains(args, "--os-compute-api-version") {
		ts.Check(c.compare(strings.Join(args[:2], " "), ts.ReadFile("stdout")))
	}
}

func (c *client) compare(command, out string) error {
	got, err := printedFields([]byte(out))
	if err != nil {
		return fmt.Errorf("openstack %s: %w", command, err)
	}
	want := slices.DeleteFunc(slices.Clone(c.fields[command]), func(f string) bool { return apart[command+" "+f] != "" })
	if !slices.Equal(got, want) {
		return fmt.Errorf("openstack %s prints the fields\n%q, of a real Zed\n%q", command, got, want)
	}
	return nil
}

// untilLimit bounds the wait for what the client is to print.
const untilLimit = time.Minute

// until runs the client again and again until it prints what matches its first
// argument, a regular expression.
func (c *client) until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[1] != "openstack" {
		ts.Fatalf("usage: until pattern openstack argument...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(untilLimit); ; {
		c.openstack(ts, false, args[2:])
		out := ts.ReadFile("stdout")
		if pattern.MatchString(out) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("openstack %s does not print %s", strings.Join(args[2:], " "), args[0])
		}
	}
}

// keep makes a field of what was printed as JSON a variable of the script.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keep VARIABLE field")
	}
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile("stdout"))))
	ts.Check(decoder.Decode(&object))
	value, ok := object[args[1]].(string)
	if !ok {
		ts.Fatalf("there is no text %s", args[1])
	}
	ts.Setenv(args[0], value)
}
