package computeagent

import "imprint/host/cloud"

// phase is what the agent last did with an instance. It is kept in the
// instance's folder, because what the driver sees does not tell why.
type phase string

const (
	phaseNew    phase = ""       // never started
	phaseOn     phase = "on"     // started
	phaseOff    phase = "off"    // stopped as desired
	phaseHalted phase = "halted" // ended by itself: it stays so
	phaseResume phase = "resume" // down for now, such as with the agent: it is to start again
)

// action is what is to be done with an instance.
type action int

const (
	leave   action = iota
	adopt          // it runs as it should
	rest           // it is down as it should be
	start          // it should run
	stop           // it should not
	reboot         // down and up again
	halted         // it went down by itself
	rebuild        // from the beginning, with a new disk
	destroy        // nothing of it should be left
)

// decide compares what is wanted of an instance (nil: nothing), what was done
// with it and how it is now.
//
// One that ended in order although it should run was halted from inside: like
// Nova, it is left down until it is asked for again (nova: compute/manager.py
// _sync_instance_power_state, 26.2.2), that is by a reboot or by the desired
// power going off and on. One that ended by accident is started again.
func decide(d *cloud.DesiredInstance, m memory, now cloud.InstanceState) action {
	runs := now == cloud.InstanceActive
	switch {
	case d == nil || d.Deleting:
		return destroy
	case d.RebuildGeneration > m.Rebuilt:
		return rebuild
	case d.Power == cloud.PowerOff && runs:
		return stop
	case d.Power == cloud.PowerOff:
		return rest
	case runs && d.RebootGeneration > m.Rebooted:
		return reboot
	case runs:
		return adopt
	case d.RebootGeneration > m.Rebooted:
		return start
	case m.Phase == phaseHalted:
		return rest
	case m.Phase == phaseOn && now == cloud.InstanceStopped:
		return halted
	}
	return start
}
