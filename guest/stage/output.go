package stage

import (
	"fmt"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
)

// outputs are where the configuration wants standard output and error of a
// stage (init, config, final): "> FILE", ">> FILE" or "| COMMAND", "" for where
// they are. cloud-init: util.py get_output_cfg.
func outputs(config *cloudconfig.Node, mode string) (out, err string) {
	all := config.Get("output")
	n := all.Get(mode)
	if !all.Has(mode) {
		n = all.Get("all")
	}
	if n == nil {
		return "", ""
	}
	switch n.Kind {
	case cloudconfig.KindString:
		out, err = n.String(), n.String()
	case cloudconfig.KindList:
		items := n.Items()
		if len(items) > 0 && !items[0].IsNull() {
			out = items[0].String()
		}
		if len(items) > 1 && !items[1].IsNull() {
			err = items[1].String()
		}
	case cloudconfig.KindMap:
		out, _ = n.Text("output")
		err, _ = n.Text("error")
	}
	if err == "&1" {
		err = out
	}
	return destination(out), destination(err)
}

// destination writes the form of a destination out: a file without a sign is
// appended to.
func destination(s string) string {
	s = strings.TrimSpace(s)
	for _, sign := range []string{">>", ">", "|"} {
		if rest, ok := strings.CutPrefix(s, sign); ok {
			return sign + " " + strings.TrimSpace(rest)
		}
	}
	if s == "" {
		return ""
	}
	return ">> " + s
}

// redirect sends output where the configuration wants it, if that is not where
// it goes already.
func (b *Boot) redirect(config *cloudconfig.Node, mode string) {
	out, err := outputs(config, mode)
	if b.Redirect == nil || b.outputs == [2]string{out, err} {
		return
	}
	if b.outputs != [2]string{} {
		b.Log.Warn(fmt.Sprintf("Stdout, stderr changing to (%s, %s)", out, err), clouddir.Component, "main.py")
	}
	b.outputs = [2]string{out, err}
	if fail := b.Redirect(out, err); fail != nil {
		b.Log.Warn("Failed to setup output redirection! "+fail.Error(), clouddir.Component, "util.py")
	}
}
