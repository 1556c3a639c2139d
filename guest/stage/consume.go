package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/base/userdata"
	"imprint/guest/clouddir"
	"imprint/guest/distro"
)

// origin is where a set of parts came from and where its results go.
type origin struct {
	// name stands in the log: user-data, vendor-data, vendor-data2.
	name string
	// config is the file of the merged cloud-config, scripts the directory
	// of the scripts, both in the instance's directory.
	config, scripts string
}

func origins() (user, vendor, vendor2 origin) {
	return origin{"user-data", userConfig, "scripts"},
		origin{"vendor-data", vendorConfig, "scripts/vendor"},
		origin{"vendor-data2", vendor2Config, "scripts/vendor"}
}

// consumer takes the parts of one origin.
type consumer struct {
	b          *Boot
	from       origin
	instanceID string
	merged     *cloudconfig.Node
	files      []string
	errs       []error
}

// consume lets every part do its work: cloud-config is merged into one file,
// scripts are written, boothooks run. It goes on after a bad part; its error
// names each. All of it happens at every boot, as with cloud-init's handlers,
// which are all PER_ALWAYS.
func (b *Boot) consume(ctx context.Context, instanceID string, from origin, parts []userdata.Part) error {
	c := &consumer{b: b, from: from, instanceID: instanceID}
	for _, p := range parts {
		if err := c.part(ctx, p); err != nil {
			c.fail(p, err)
		}
	}
	if err := b.Dir.WriteInstance(from.config, c.document()); err != nil {
		c.errs = append(c.errs, err)
	}
	return errors.Join(c.errs...)
}

func (c *consumer) fail(p userdata.Part, err error) {
	err = fmt.Errorf("%s part %s: %w", c.from.name, printable(p.Filename), err)
	c.b.Log.Warn(err.Error())
	c.errs = append(c.errs, err)
}

func (c *consumer) part(ctx context.Context, p userdata.Part) error {
	name := userdata.CleanFilename(p.Filename)
	if p.Jinja {
		return errors.New("templates (## template: jinja) are not rendered; the part is ignored")
	}
	switch p.Type {
	case userdata.TypeCloudConfig:
		return c.merge(p)
	case userdata.TypeScript:
		return c.b.Dir.WriteScript(path.Join(c.from.scripts, name), unixLines(p.Body))
	case userdata.TypeScriptPerBoot, userdata.TypeScriptPerOnce, userdata.TypeScriptPerInst:
		dir := strings.TrimPrefix(p.Type, userdata.TypeScript+"-")
		file := path.Join(clouddir.CloudDir, "scripts", dir, name)
		return c.b.Root.WriteFile(file, unixLines(p.Body), 0o700)
	case userdata.TypeBoothook:
		return c.boothook(ctx, name, p.Body)
	}
	if len(bytes.TrimSpace(p.Body)) == 0 {
		c.b.Log.Debug("Empty payload of type " + printable(p.Type))
		return nil
	}
	kind := "unknown content-type"
	if p.Type == userdata.TypeUnknown {
		kind = "non-multipart"
	}
	//lint:ignore ST1005 cloud-init's words
	return fmt.Errorf("Unhandled %s (%s) userdata: '%s...'", kind, printable(p.Type), excerpt(p.Body))
}

// merge adds a #cloud-config part and warns of what nothing will read.
func (c *consumer) merge(p userdata.Part) error {
	n, err := cloudconfig.ParseMap(p.Body)
	if err != nil {
		return fmt.Errorf("not merged: %w", err)
	}
	for _, problem := range c.b.check(n) {
		c.b.Log.Warn(fmt.Sprintf("%s part %s: line %d column %d: %s: %s", c.from.name, printable(p.Filename),
			problem.Line, problem.Column, printable(problem.Path), printable(problem.Text)), clouddir.Component, "schema.py")
	}
	merged, err := cloudconfig.MergePart(c.merged, n, p.MergeType)
	if err != nil {
		return fmt.Errorf("not merged: %w", err)
	}
	c.merged = merged
	c.files = append(c.files, strings.TrimSpace(printable(p.Filename)))
	return nil
}

// stageKeys are the top-level keys that the stages themselves read.
func stageKeys() []string {
	return []string{"vendor_data", "vendor_data2", "merge_how", "merge_type", "launch-index"}
}

// check finds what a document says in vain: what cloudconfig.Check finds, and
// keys that cloud-init knows but no module here.
func (b *Boot) check(n *cloudconfig.Node) []cloudconfig.Problem {
	read := stageKeys()
	for _, m := range slices.Concat(b.Init, b.Config, b.Final) {
		read = append(append(read, m.Keys...), m.Reads...)
	}
	problems := cloudconfig.Check(n)
	for _, pair := range n.Pairs() {
		key := pair.Key.String()
		told := slices.ContainsFunc(problems, func(p cloudconfig.Problem) bool { return p.Path == key })
		if !told && !slices.Contains(read, key) {
			problems = append(problems, cloudconfig.Problem{Line: pair.Key.Line, Column: pair.Key.Column,
				Path: key, Text: "this agent has no module for it, ignored"})
		}
	}
	return problems
}

// document is the content of the merged file; nothing if there was nothing to
// merge. cloud-init: handlers/cloud_config.py _write_cloud_config.
func (c *consumer) document() []byte {
	if len(c.files) == 0 {
		return nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "#cloud-config\n\n# from %d files\n", len(c.files))
	for _, f := range c.files {
		fmt.Fprintf(&b, "# %s\n", f)
	}
	b.WriteString("\n")
	b.Write(cloudconfig.Dump(c.merged))
	return b.Bytes()
}

// boothook writes a hook and runs it at once.
func (c *consumer) boothook(ctx context.Context, name string, body []byte) error {
	text := bytes.TrimLeft(bytes.TrimPrefix(unixLines(body), []byte("#cloud-boothook")), " \t\r\n")
	file := path.Join(clouddir.InstanceDir(c.instanceID), "boothooks", name)
	if err := c.b.Root.WriteFile(file, text, 0o700); err != nil {
		return err
	}
	return c.b.Distro.Runner(ctx, distro.Command{
		Args:   []string{file},
		Env:    []string{"INSTANCE_ID=" + c.instanceID},
		Output: c.b.Output,
	})
}

// unixLines turns CRLF into LF if the first line ends so.
// cloud-init: util.py dos2unix.
func unixLines(body []byte) []byte {
	if i := bytes.IndexByte(body, '\n'); i > 0 && body[i-1] == '\r' {
		return bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
	}
	return body
}

// excerpt is the beginning of bytes, for a message.
func excerpt(body []byte) string {
	const most = 24
	line, _, _ := bytes.Cut(body, []byte("\n"))
	if len(line) > most {
		line = line[:most]
	}
	return printable(string(line))
}

// printable makes a tenant's bytes harmless in a message.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}
