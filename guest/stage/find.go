package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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
	if !b.trusted() && (i.Name == noneName || b.otherMachine(i)) {
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
	known := b.checkCache(ctx)
	if known != nil && (b.trusted() || b.sameMachine(known)) {
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

// checkCache is the cached instance if it may still be this machine's, and
// the step that says so.
func (b *Boot) checkCache(ctx context.Context) *datasource.Instance {
	how := "check"
	if b.trusted() {
		how = "trust"
	}
	step := b.begin(ctx, "check-cache", "attempting to read from cache ["+how+"]")
	known, message := b.known(), "no cache found"
	switch {
	case known != nil && b.trusted():
		message = "restored from cache: " + known.String()
	case known != nil && b.sameMachine(known):
		message = "restored from checked cache: " + known.String()
	case known != nil:
		message = "cache invalid in datasource: " + known.String()
	}
	b.Log.Debug(message, clouddir.Component, "stages.py")
	step.end(ctx, true, message)
	return known
}

// manualClean is the mark of an instance that stays until it is cleaned away.
const manualClean = clouddir.InstanceLink + "/manual-clean"

// trusted tells whether the cached instance is used without asking: the
// configuration says manual_cache_clean, or said so when the instance came.
func (b *Boot) trusted() bool {
	if _, err := b.Root.Stat(manualClean); err == nil {
		return true
	}
	on, err := b.config().Bool("manual_cache_clean")
	return err == nil && on.Or(false)
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
	begun := b.Now()
	i, evidence := datasource.Find(ctx, env, real)
	b.searched(ctx, begun, i, evidence)
	if i != nil {
		b.Log.Info("Loaded datasource "+i.Line(), clouddir.Component, "stages.py")
	}
	return i, evidence
}

// searched tells of the sources that were asked, in their order.
func (b *Boot) searched(ctx context.Context, begun time.Time, found *datasource.Instance, evidence []datasource.Evidence) {
	when := strings.TrimPrefix(b.phase.name, "init-")
	for _, e := range evidence {
		if e.Verdict == datasource.Absent {
			continue
		}
		class, word := "DataSource"+e.Source, "no "+when+" data found from "
		if found != nil && e.Source == found.Name {
			class, word = found.Class, "found "+when+" data from "
		}
		b.beginAt(ctx, begun, "search-"+strings.TrimPrefix(class, "DataSource"), "searching for "+when+" data from "+class).end(ctx, true, word+class)
	}
}

func (b *Boot) sourceEnv() datasource.Env {
	disks := b.Disks
	if disks == nil {
		disks = datasource.DevDisks{Root: b.Root}
	}
	return datasource.Env{
		Root: b.Root, Disks: disks, BaseURL: b.MetadataURL, Now: b.Now,
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
