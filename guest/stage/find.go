package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imprint/guest/clouddir"
	"imprint/guest/datasource"
)

// errNotFound is returned when no data source has anything.
var errNotFound = errors.New("no data source answered")

// cached is the instance that the last stage worked for.
func (b *Boot) cached() (*datasource.Instance, error) {
	var i datasource.Instance
	if err := b.Dir.LoadCache(&i); err != nil {
		return nil, err
	}
	if i.InstanceID == "" || i.Class == "" {
		return nil, errors.New("cached instance has no id")
	}
	return &i, nil
}

// known is the cached instance if it came from a real source and may still be
// this machine's; else nil.
func (b *Boot) known() *datasource.Instance {
	i, err := b.cached()
	if err != nil {
		b.Log.Debug("no cache found: "+err.Error(), clouddir.Component, "stages.py")
		return nil
	}
	if i.Name == noneName || b.otherMachine(i) {
		b.Log.Debug("cache invalid in datasource: "+i.String(), clouddir.Component, "stages.py")
		return nil
	}
	return i
}

const noneName = "None"

// machineID is the id that firmware gives an OpenStack server: its own. Empty
// where firmware says nothing, or is not OpenStack's.
func (b *Boot) machineID() string {
	product, err := b.Root.ReadFile("/sys/class/dmi/id/product_name")
	if err != nil || !strings.HasPrefix(string(product), "OpenStack ") {
		return ""
	}
	id, err := b.Root.ReadFile("/sys/class/dmi/id/product_uuid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// otherMachine reports whether firmware contradicts the instance: its disk
// was copied to another server.
func (b *Boot) otherMachine(i *datasource.Instance) bool {
	id := b.machineID()
	return id != "" && ofNova(i) && !strings.EqualFold(id, i.InstanceID)
}

// sameMachine reports whether firmware confirms the instance.
// cloud-init: sources/DataSourceOpenStack.py check_instance_id.
func (b *Boot) sameMachine(i *datasource.Instance) bool {
	return ofNova(i) && strings.EqualFold(b.machineID(), i.InstanceID)
}

// ofNova tells whether the instance's id is the one that Nova gives firmware.
func ofNova(i *datasource.Instance) bool { return i.Name == "OpenStack" || i.Name == "ConfigDrive" }

// findLocal finds the instance before the network is up: from the cache if
// firmware confirms it, else from the sources, over a network of their own.
// Where no source answers, an instance that was known stays: a service that is
// down is no reason to become somebody else.
func (b *Boot) findLocal(ctx context.Context, link *link) (*datasource.Instance, error) {
	known := b.known()
	if known != nil && b.sameMachine(known) {
		b.Log.Debug("restored from checked cache: "+known.String(), clouddir.Component, "stages.py")
		return known, nil
	}
	i, evidence := b.ask(ctx, link.connect, link.pass)
	if i != nil {
		return i, nil
	}
	if known != nil {
		return b.stay(known, evidence), nil
	}
	return nil, fmt.Errorf("%w: %s", errNotFound, tried(evidence))
}

// stay keeps the instance that was known.
func (b *Boot) stay(known *datasource.Instance, evidence []datasource.Evidence) *datasource.Instance {
	b.Log.Warn("No data source answered, the instance stays "+known.InstanceID+": "+tried(evidence), clouddir.Component, "stages.py")
	return known
}

// findNetwork finds the instance with the network up, at last in the source
// None, which knows nothing but is always there. A network that did not come
// up in the local stage gets a second chance.
func (b *Boot) findNetwork(ctx context.Context, l *link) (*datasource.Instance, error) {
	if !b.managed() && !b.Dir.DoneThisBoot(networkUp) {
		b.unreached((&link{b: b}).connect(ctx))
	}
	i, evidence := b.ask(ctx, nil, l.pass)
	if i != nil {
		return i, nil
	}
	if known := b.known(); known != nil {
		return b.stay(known, evidence), nil
	}
	b.Log.Warn("No data source answered: "+tried(evidence), clouddir.Component, "stages.py")
	for _, s := range b.Sources {
		if s.Name() == noneName {
			return s.Crawl(ctx, b.sourceEnv())
		}
	}
	return nil, fmt.Errorf("%w: %s", errNotFound, tried(evidence))
}

// ask asks all sources but None; connect and pass are as of datasource.Env.
func (b *Boot) ask(ctx context.Context, connect func(context.Context) error, pass func(*datasource.Instance)) (*datasource.Instance, []datasource.Evidence) {
	var real []datasource.Source
	var names []string
	for _, s := range b.Sources {
		if s.Name() != noneName {
			real = append(real, s)
			names = append(names, s.Name())
		}
	}
	b.Log.Debug("Looking for data source in: "+strings.Join(names, ", "), clouddir.Component, "__init__.py")
	env := b.sourceEnv()
	env.Connect, env.Pass = connect, pass
	i, evidence := datasource.Find(ctx, env, real)
	if i != nil {
		b.Log.Info("Loaded datasource "+i.Line(), clouddir.Component, "stages.py")
		for _, p := range i.Problems {
			b.Log.Warn("metadata: "+printable(p), clouddir.Component, i.Class+".py")
		}
	}
	return i, evidence
}

func (b *Boot) sourceEnv() datasource.Env {
	return datasource.Env{
		Root: b.Root, Disks: datasource.DevDisks{Root: b.Root}, BaseURL: b.MetadataURL, Now: b.Now,
		Log: b.Log.With(clouddir.Component, "url_helper.py"),
	}
}

// tried says in one line what was asked of whom and what came of it.
func tried(evidence []datasource.Evidence) string {
	var words []string
	for _, e := range evidence {
		text := e.Source + ": " + e.Reason
		if e.Error != "" {
			text = e.Source + ": " + strings.TrimPrefix(e.Error, "data source "+e.Source+": ")
		}
		if n := len(e.Tries); n > 0 {
			last := e.Tries[n-1]
			text += fmt.Sprintf("; asked %s", last.URL)
		}
		words = append(words, text)
	}
	if len(words) == 0 {
		return "there are none"
	}
	return strings.Join(words, "; ")
}
