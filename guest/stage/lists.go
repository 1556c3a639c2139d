package stage

import (
	"fmt"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
	"imprint/guest/module"
)

// Sections of the configuration that list modules.
const (
	initSection   = "cloud_init_modules"
	configSection = "cloud_config_modules"
	finalSection  = "cloud_final_modules"
)

// entry is one line of a list of modules.
type entry struct {
	name, frequency string
	args            []string
}

// section is the list of modules that the configuration has under a key, or
// the built-in one. Names are known with hyphens or underscores, with and
// without cc_; a module keeps the name under which it is listed, because its
// semaphore has that name. cloud-init: config/modules.py.
func (b *Boot) section(config *cloudconfig.Node, key string, builtin []module.Module) []module.Module {
	if !config.Has(key) {
		return builtin
	}
	var list []module.Module
	for _, item := range config.Get(key).Items() {
		e, ok := readEntry(item)
		if !ok {
			if !item.IsNull() {
				b.Log.Warn(item.Errorf("%s: not a module, ignored", key).Error(), clouddir.Component, "modules.py")
			}
			continue
		}
		if m, ok := b.module(e); ok {
			list = append(list, m)
		}
	}
	return list
}

// readEntry reads "name", [name, frequency, arguments…] or
// {name:, frequency:, args:}.
func readEntry(n *cloudconfig.Node) (entry, bool) {
	var words []string
	switch n.Kind {
	case cloudconfig.KindString:
		words = []string{n.String()}
	case cloudconfig.KindList:
		for _, item := range n.Items() {
			words = append(words, item.String())
		}
	case cloudconfig.KindMap:
		args, err := n.Strings("args")
		if err != nil || !n.Has("name") {
			return entry{}, false
		}
		frequency := ""
		if f := n.Get("frequency"); !f.IsNull() {
			frequency = f.String()
		}
		words = append([]string{n.Get("name").String(), frequency}, args...)
	}
	if len(words) == 0 {
		return entry{}, false
	}
	e := entry{name: strings.TrimSpace(words[0])}
	if len(words) > 1 {
		e.frequency, e.args = strings.TrimSpace(words[1]), words[2:]
	}
	return e, e.name != ""
}

// module is the module that an entry names, with the entry's own frequency and
// arguments.
func (b *Boot) module(e entry) (module.Module, bool) {
	m, ok := b.find(e.name)
	if !ok {
		b.missing(e.name)
		return module.Module{}, false
	}
	m.Name, m.Args = e.name, e.args
	switch f := clouddir.Frequency(e.frequency); f {
	case "":
	case clouddir.PerInstance, clouddir.PerAlways, clouddir.PerOnce:
		m.Frequency = f
	default:
		b.Log.Warn(fmt.Sprintf("Config specified module %s has an unknown frequency %s", printable(e.name), printable(e.frequency)),
			clouddir.Component, "modules.py")
	}
	return m, true
}

// find looks for a module in all lists.
func (b *Boot) find(name string) (module.Module, bool) {
	for _, list := range [][]module.Module{b.Init, b.Config, b.Final} {
		for _, m := range list {
			if m.Named(name) {
				return m, true
			}
		}
	}
	return module.Module{}, false
}

// missing tells of a listed module that this agent does not have: one that
// cloud-init has does no harm by its absence alone, another one is a mistake.
func (b *Boot) missing(name string) {
	for _, absent := range b.Absent {
		if (module.Module{Name: absent}).Named(name) {
			b.Log.Info("Module "+name+" is not part of this agent", clouddir.Component, "modules.py")
			return
		}
	}
	full := "cc_" + strings.TrimPrefix(strings.ReplaceAll(name, "-", "_"), "cc_")
	b.Log.Warn(fmt.Sprintf("Could not find module named %s (searched ['%[1]s', 'cloudinit.config.%[1]s'])", printable(full)),
		clouddir.Component, "modules.py")
}
