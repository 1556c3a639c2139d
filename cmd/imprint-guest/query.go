package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
	"imprint/guest/stage"
)

// query is what was asked of the query command.
type query struct {
	variable, format       string
	instance, user, vendor string // files
	list, all, debug       bool
}

const (
	publicData    = clouddir.RunDir + "/instance-data.json"
	sensitiveData = clouddir.RunDir + "/instance-data-sensitive.json"
	maxPlain      = 16 << 20 // of decompressed user data
)

func (p *program) queryCommand() *command {
	var q query
	c := &command{
		name:    "query",
		summary: "Query standardized instance metadata from the command line.",
		about:   "Query standardized instance metadata provided to machine, returning a JSON\nstructure.",
		options: []option{
			{names: []string{"-d", "--debug"}, flag: &q.debug, help: "Add verbose messages during template render"},
			{names: []string{"-i", "--instance-data"}, meta: "INSTANCE_DATA", value: &q.instance, help: "Path to instance-data.json file. Default is " + publicData},
			{names: []string{"-l", "--list-keys"}, flag: &q.list, help: "List query keys available at the provided instance-data <varname>."},
			{names: []string{"-u", "--user-data"}, meta: "USER_DATA", value: &q.user, help: "Path to user-data file. Default is /var/lib/cloud/instance/user-data.txt"},
			{names: []string{"-v", "--vendor-data"}, meta: "VENDOR_DATA", value: &q.vendor, help: "Path to vendor-data file. Default is /var/lib/cloud/instance/vendor-data.txt"},
			{names: []string{"-a", "--all"}, flag: &q.all, help: "Dump all available instance-data"},
			{names: []string{"-f", "--format"}, meta: "FORMAT", value: &q.format, help: "A custom output format string with variables between double-curly braces."},
		},
		args: []positional{{name: "varname", optional: true, value: &q.variable,
			help: "A dot-delimited specific variable to query from instance-data. For example: v1.local_hostname."}},
	}
	c.run = func() int {
		if !q.list && !q.all && q.variable == "" && q.format == "" {
			fmt.Fprintln(p.err, "ERROR: Expected one of the options: --all, --format, --list-keys or varname")
			alone := *c
			alone.parent = nil
			fmt.Fprint(p.out, alone.help())
			return exitFailed
		}
		return p.withRoot(func(root *rootfs.Root) int { return p.query(root, q) })
	}
	return c
}

func (p *program) query(root *rootfs.Root, q query) int {
	data, err := p.instanceData(root, q)
	if err != nil {
		return p.fail(err)
	}
	if q.format != "" {
		return p.render("## template: jinja\n"+q.format, "query commandline", data)
	}
	var value any = stage.Variables(data, false)
	if q.variable != "" {
		if value, err = lookUp(value, stage.Variables(data, true), q.variable); err != nil {
			return p.fail(err)
		}
	}
	if q.list {
		return p.printKeys(value, q.variable)
	}
	return p.printValue(value)
}

// render renders a template and prints it.
func (p *program) render(template, name string, data map[string]any) int {
	render := templates()
	if render == nil {
		return p.fail(errors.New("templates are not rendered by this agent"))
	}
	text, err := render(template, stage.Variables(data, true))
	if err != nil {
		fmt.Fprintf(p.err, "WARNING: Ignoring jinja template for %s: %v\n", name, err)
		return exitFailed
	}
	if names := stage.Missing(text); names != "" {
		fmt.Fprintf(p.err, "WARNING: Could not render jinja template variables in file '%s': %s\n", name, names)
	}
	if text == "" {
		return exitFailed
	}
	fmt.Fprintln(p.out, text)
	return exitOK
}

// instanceData reads the instance data of this boot: all of it for root, what
// is for everybody otherwise. userdata and vendordata are added.
func (p *program) instanceData(root *rootfs.Root, q query) (map[string]any, error) {
	name, read := q.instance, os.ReadFile
	if name == "" {
		name, read = p.dataFile(root), root.ReadFile
	}
	text, err := read(name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		//lint:ignore ST1005 cloud-init's words
		return nil, fmt.Errorf("No read permission on '%s'. Try sudo", name)
	case err != nil:
		//lint:ignore ST1005 cloud-init's words
		return nil, fmt.Errorf("Missing instance-data file: %s", name)
	}
	data, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	for key, file := range map[string]string{"userdata": q.user, "vendordata": q.vendor} {
		read := os.ReadFile
		if file == "" {
			file, read = path.Join(clouddir.InstanceLink, strings.TrimSuffix(key, "data")+"-data.txt"), root.ReadFile
		}
		data[key] = "<" + clouddir.Redacted + "> file:" + file
		if os.Getuid() == 0 {
			raw, err := read(file)
			if err != nil {
				return nil, err
			}
			data[key] = plainText(raw)
		}
	}
	return data, nil
}

// dataFile is the file to read instance data from.
func (p *program) dataFile(root *rootfs.Root) string {
	if os.Getuid() != 0 {
		return publicData
	}
	if _, err := root.Stat(sensitiveData); err != nil {
		fmt.Fprintf(p.err, "WARNING: Missing root-readable %s. Using redacted %s instead.\n", sensitiveData, publicData)
		return publicData
	}
	return sensitiveData
}

func decode(text []byte) (map[string]any, error) {
	var data map[string]any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	err := dec.Decode(&data)
	if err == nil && data == nil {
		err = errors.New("it is no JSON object")
	}
	return data, err
}

// plainText is user data as text, decompressed; bytes that are no text are
// written in base64.
func plainText(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	if z, err := gzip.NewReader(bytes.NewReader(raw)); err == nil {
		if plain, err := io.ReadAll(io.LimitReader(z, maxPlain)); err == nil && utf8.Valid(plain) {
			return string(plain)
		}
	}
	return "ci-b64:" + base64.StdEncoding.EncodeToString(raw)
}

// lookUp follows a path with dots. Keys are found by their aliases, too; the
// value is without them.
func lookUp(value any, aliases map[string]any, variable string) (any, error) {
	var known any = aliases
	walked := ""
	for part := range strings.SplitSeq(variable, ".") {
		m, _ := known.(map[string]any)
		next, ok := m[part]
		switch {
		case !ok && walked == "":
			//lint:ignore ST1005 cloud-init's words
			return nil, fmt.Errorf("Undefined instance-data key '%s'", variable)
		case !ok:
			return nil, fmt.Errorf("instance-data '%s' has no '%s'", walked, part)
		}
		known, value = next, child(value, part)
		walked = strings.TrimPrefix(walked+"."+part, ".")
	}
	return value, nil
}

func child(value any, key string) any {
	m, _ := value.(map[string]any)
	if v, ok := m[key]; ok {
		return v
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if strings.NewReplacer("-", "_", ".", "_").Replace(k) == key {
			return m[k]
		}
	}
	return nil
}

func (p *program) printKeys(value any, variable string) int {
	m, ok := value.(map[string]any)
	if !ok {
		return p.fail(fmt.Errorf("--list-keys provided but '%s' is not a dict", variable))
	}
	fmt.Fprintln(p.out, strings.Join(slices.Sorted(maps.Keys(m)), "\n"))
	return exitOK
}

func (p *program) printValue(value any) int {
	if s, ok := value.(string); ok {
		fmt.Fprintln(p.out, s)
		return exitOK
	}
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(value); err != nil {
		return p.fail(err)
	}
	return exitOK
}
