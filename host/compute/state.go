package compute

import "imprint/host/cloud"

// state is a server's state in Nova's words. nova: compute/vm_states.py,
// task_states.py, power_state.py and api/openstack/common.py, 26.2.2.
type state struct {
	status string
	vm     string
	task   string // "" for none
	power  int
}

// rebuilding is the task of a server whose rebuild is not done.
const rebuilding = "rebuilding"

// stateOf derives what Nova would show from what is wanted and what the node
// reported. One that is down although it should be up halted itself: it has no
// task until it is started. One that failed and is now deleted is no ERROR, as
// it would be with Nova, unless the deletion fails too: to the stock client's
// "server delete --wait" an error is the end of it.
func stateOf(s *cloud.Server) state {
	st := map[cloud.InstanceState]state{
		cloud.InstanceBuilding: {"BUILD", "building", "spawning", 0},
		cloud.InstanceActive:   {"ACTIVE", "active", "", 1},
		cloud.InstanceStopped:  {"SHUTOFF", "stopped", "", 4},
		cloud.InstanceError:    {"ERROR", "error", "", 0},
		cloud.InstanceDeleted:  {"DELETED", "deleted", "", 0},
	}[s.State]
	active, stopped := s.State == cloud.InstanceActive, s.State == cloud.InstanceStopped
	rebooting := s.RebootGeneration > s.DoneReboot && (active || stopped)
	switch {
	case s.Deleting:
		st.task = "deleting"
		if s.State == cloud.InstanceError && s.Fault == "" {
			st.status = "SHUTOFF"
		}
	case s.RebuildGeneration > s.DoneRebuild:
		st.status, st.task = "REBUILD", rebuilding
	case s.State == cloud.InstanceBuilding && s.Host == "":
		st.task = "scheduling"
	case active && s.Power == cloud.PowerOff:
		st.task = "powering-off"
	case stopped && rebooting:
		st.task = "powering-on"
	case rebooting && s.RebootType == hard:
		st.task = "rebooting_hard"
	case rebooting:
		st.task = "rebooting"
	}
	if active && rebooting && st.task == "rebooting" {
		st.status = "REBOOT"
	}
	if active && rebooting && st.task == "rebooting_hard" {
		st.status = "HARD_REBOOT"
	}
	return st
}
