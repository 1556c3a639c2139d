package datasource

import (
	"context"
	"errors"
	"sync"
)

// Find asks the sources in their order and returns the first instance, with
// the evidence on each source up to then. The instance is nil if no source has
// one. Where the administrator names a source, no other is asked but None. The
// network is connected once, and once nothing answers at the metadata address no
// other source behind it is asked: so the wait is one source's.
func Find(ctx context.Context, env Env, sources []Source) (*Instance, []Evidence) {
	if connect := env.Connect; connect != nil {
		once := sync.OnceValue(func() error { return connect(ctx) })
		env.Connect = func(context.Context) error { return once() }
	}
	var all []Evidence
	silent := false
	env = env.Identified()
	for _, s := range sources {
		e := env.detect(s)
		if e.Verdict == Absent {
			env.log().Debug("data source not here", "source", e.Source, "reason", e.Reason)
			all = append(all, e)
			continue
		}
		if silent && e.Network {
			e.Error = "not asked: " + ErrUnreachable.Error()
			all = append(all, e)
			continue
		}
		env.log().Debug("data source asked", "source", e.Source, "verdict", string(e.Verdict), "reason", e.Reason)
		i, err := s.Crawl(ctx, env)
		if err == nil {
			e.Tries = i.Tries
			return i, append(all, e)
		}
		var pass *PassError
		if errors.As(err, &pass) && env.Pass != nil {
			env.Pass(pass.Instance)
		}
		env.log().Info("data source failed", "source", e.Source, "error", err)
		silent = silent || errors.Is(err, ErrUnreachable)
		e.Error = err.Error()
		if crawl := new(CrawlError); errors.As(err, &crawl) {
			e.Tries = crawl.Tries
		}
		all = append(all, e)
	}
	return nil, all
}

// detect is the source's verdict, if it is allowed at all.
func (e Env) detect(s Source) Evidence {
	if named := e.Identity.Named; named != "" && named != s.Name() && s.Name() != noneName {
		return Evidence{Source: s.Name(), Verdict: Absent, Reason: "the only source that is allowed is " + named}
	}
	return s.Detect(e)
}
