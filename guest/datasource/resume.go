package datasource

import (
	"context"
	"strings"

	"imprint/base/cloudconfig"
)

// Machine is what can be said without any source of whether a known instance is
// still this machine's.
type Machine string

// The answers. Unknown leaves it to the sources.
const (
	UnknownMachine Machine = "unknown"
	SameMachine    Machine = "same"
	OtherMachine   Machine = "other"
)

// Check compares an instance that was found in an earlier boot with the machine:
// firmware's UUID is that of an OpenStack server, and a seed on the command line
// or in a directory names its instance.
// cloud-init 22.4: check_instance_id of sources/DataSource{OpenStack,ConfigDrive,
// NoCloud}.py. Departing from it, a machine whose firmware names another server
// is told from one whose firmware says nothing.
func (i *Instance) Check(env Env) Machine {
	env = env.Identified()
	seen := env.Identity.Evidence
	current, firm := "", true
	switch i.Name {
	case "OpenStack", configDrive:
		current = seen.DMI.ProductUUID
		// Only OpenStack's own UUIDs are instance ids; other clouds have ids
		// of their own on a drive.
		firm = env.Identity.Check("OpenStack").Identity && isUUID(i.InstanceID)
	case noCloud:
		current = quickID(env)
	}
	switch {
	case current == "":
		return UnknownMachine
	case strings.EqualFold(current, i.InstanceID) && i.Name != noCloud, current == i.InstanceID:
		return SameMachine
	case firm:
		return OtherMachine
	}
	return UnknownMachine
}

// quickID is the instance that the command line names, or a seed's directory.
// cloud-init 22.4: sources/DataSourceNoCloud.py, _quick_read_instance_id.
func quickID(env Env) string {
	if md, ok := seedWords(env.Identity.Evidence.CommandLine); ok && text(md, "instance-id") != "" {
		return text(md, "instance-id")
	}
	if env.Root == nil {
		return ""
	}
	for _, dir := range nocloudDirs() {
		data, err := seedTree{env.Root, dir}.ReadFile("meta-data")
		if err != nil {
			continue
		}
		if md, err := cloudconfig.ParseMap(data); err == nil && text(md, "instance-id") != "" {
			return text(md, "instance-id")
		}
	}
	return ""
}

func isUUID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == ""
}

// Resume finds the instance of a boot after the first. known is that of the
// boot before, nil if there is none; kept tells that it is still the one.
//
// A known instance of which the machine says that it is its own is taken
// without asking any source. Otherwise the sources are asked; where none of
// them but None has an instance, the known one stays, unless the machine is
// another: a service that is down is no reason to become somebody else.
func Resume(ctx context.Context, env Env, known *Instance, sources []Source) (i *Instance, all []Evidence, kept bool) {
	if known == nil || known.Name == noneName {
		i, all = Find(ctx, env, sources)
		return i, all, false
	}
	env = env.Identified()
	machine := known.Check(env)
	if machine == SameMachine {
		env.log().Debug("instance checked by the machine", "source", known.Name)
		return known, nil, true
	}
	var real, last []Source
	for _, s := range sources {
		if s.Name() == noneName {
			last = append(last, s)
		} else {
			real = append(real, s)
		}
	}
	if i, all = Find(ctx, env, real); i != nil {
		return i, all, false
	}
	if machine != OtherMachine {
		env.log().Warn("no data source answered, the instance stays", "source", known.Name, "instance_id", known.InstanceID)
		return known, all, true
	}
	i, more := Find(ctx, env, last)
	return i, append(all, more...), false
}
