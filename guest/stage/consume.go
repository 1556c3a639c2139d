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
	"imprint/guest/datasource"
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
	b        *Boot
	from     origin
	instance *datasource.Instance
	handlers handlers
	disabled []string // content types that nobody handles
	merged   *cloudconfig.Node
	files    []string
	errs     []error // the disk's, not the data's
}

// consume lets every part do its work: cloud-config is merged into one file,
// scripts are written, boothooks run. It goes on after a bad part. Part
// handlers are asked at the instance's first boot only, unless they say
// otherwise; what is built in does its work at every boot, as with
// cloud-init's handlers, which are all PER_ALWAYS.
func (b *Boot) consume(ctx context.Context, inst *datasource.Instance, from origin, parts []userdata.Part, first bool, disabled []string) error {
	c := &consumer{b: b, from: from, instance: inst, disabled: disabled,
		handlers: handlers{b: b, instanceID: inst.InstanceID, frequency: clouddir.PerAlways}}
	if first {
		c.handlers.frequency = clouddir.PerInstance
	}
	if !b.Offline {
		c.handlers.loadSite(ctx)
	}
	for _, p := range parts {
		if err := c.part(ctx, p); err != nil {
			b.ignore("__init__.py", fmt.Sprintf("%s part %s: %v", from.name, printable(p.Filename), err))
		}
	}
	if err := c.handlers.close(ctx); err != nil {
		b.ignore("stages.py", from.name+": "+err.Error())
	}
	return errors.Join(append(c.errs, b.Dir.WriteInstance(from.config, c.document()))...)
}

func (c *consumer) part(ctx context.Context, p userdata.Part) error {
	name := userdata.CleanFilename(p.Filename)
	switch {
	case slices.Contains(c.disabled, p.Type):
		c.b.Log.Debug(fmt.Sprintf("content_type %q is excluded", p.Type))
		return nil
	case c.b.Offline && slices.Contains(programs(), p.Type):
		c.b.Queued = append(c.b.Queued, fmt.Sprintf("%s part %s (%s)", c.from.name, printable(p.Filename), p.Type))
		return nil
	case p.Type == userdata.TypePartHandler:
		return c.handlers.add(ctx, p.Body)
	case c.handlers.takes(p.Type):
		return c.handlers.part(ctx, p)
	case p.Jinja:
		return c.template(ctx, p)
	}
	switch p.Type {
	case userdata.TypeCloudConfig:
		return c.merge(p)
	case userdata.TypeCloudConfigJSONP:
		return c.patch(p)
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

// programs are the content types that run something at once.
func programs() []string { return []string{userdata.TypeBoothook, userdata.TypePartHandler} }

// merge adds a #cloud-config part and warns of what nothing will read.
func (c *consumer) merge(p userdata.Part) error {
	c.start()
	n, err := cloudconfig.ParseMap(p.Body)
	if err != nil {
		return fmt.Errorf("not merged: %w", err)
	}
	for _, problem := range c.b.check(n) {
		c.b.ignore("schema.py", fmt.Sprintf("%s part %s: line %d column %d: %s: %s", c.from.name, printable(p.Filename),
			problem.Line, problem.Column, printable(problem.Path), printable(problem.Text)))
	}
	merged, err := cloudconfig.MergePart(c.merged, n, p.MergeType)
	if err != nil {
		return fmt.Errorf("not merged: %w", err)
	}
	c.merged = merged
	c.files = append(c.files, strings.TrimSpace(printable(p.Filename)))
	return nil
}

// start begins with an empty configuration, until a part was good.
func (c *consumer) start() {
	if len(c.files) == 0 {
		c.merged = cloudconfig.NewMap()
	}
}

// patch applies a #cloud-config-jsonp part.
func (c *consumer) patch(p userdata.Part) error {
	if c.b.Patch == nil {
		return errors.New("text/cloud-config-jsonp is not applied")
	}
	c.start()
	patched, err := c.b.Patch(c.merged, p.Body)
	if err != nil {
		return fmt.Errorf("not merged: %w", err)
	}
	c.merged = patched
	c.files = append(c.files, strings.TrimSpace(printable(p.Filename)))
	return nil
}

// stageKeys are the top-level keys that the stages themselves read.
func stageKeys() []string {
	return []string{"vendor_data", "vendor_data2", "merge_how", "merge_type", "launch-index", "output", "reporting", "imprint",
		"manual_cache_clean", "allow_userdata", initSection, configSection, finalSection}
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
	if c.merged == nil {
		return nil
	}
	var b bytes.Buffer
	b.WriteString("#cloud-config\n\n")
	if len(c.files) > 0 {
		fmt.Fprintf(&b, "# from %d files\n# %s\n\n", len(c.files), strings.Join(c.files, "\n# "))
	}
	b.Write(cloudconfig.Dump(c.merged))
	return b.Bytes()
}

// boothook writes a hook and runs it at once.
func (c *consumer) boothook(ctx context.Context, name string, body []byte) error {
	text := bytes.TrimLeft(bytes.TrimPrefix(unixLines(body), []byte("#cloud-boothook")), " \t\r\n")
	file := path.Join(clouddir.InstanceDir(c.instance.InstanceID), "boothooks", name)
	if err := c.b.Root.WriteFile(file, text, 0o700); err != nil {
		return err
	}
	return c.b.Distro.Runner(ctx, distro.Command{
		Args:   []string{file},
		Env:    []string{"INSTANCE_ID=" + c.instance.InstanceID},
		Output: c.b.Output,
		Errors: c.b.Errors,
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
