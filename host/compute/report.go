package compute

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"imprint/host/cloud"
)

// maxFault bounds the text of a fault in bytes.
const maxFault = 1024

// OnReport notes what node says of one of its instances or ports. The same
// report twice changes nothing, and neither does one about a thing that is not
// the node's or is gone. The report that an instance is deleted, when that was
// asked for, removes the server and the ports that were made for it.
func (r *Role) OnReport(ctx context.Context, node string, report cloud.Report) error {
	err := r.writer.Change(ctx, func(m *cloud.Model) (cloud.Txn, error) {
		switch {
		case report.Instance != nil:
			return r.noteInstance(m, node, *report.Instance), nil
		case report.Port != nil:
			return r.ports.ReportPort(m, node, *report.Port), nil
		}
		return cloud.Txn{}, cloud.Errorf(cloud.Invalid, "the report is empty")
	})
	if err != nil {
		return fmt.Errorf("note report of node %s: %w", node, err)
	}
	return nil
}

func (r *Role) noteInstance(m *cloud.Model, node string, report cloud.InstanceReport) cloud.Txn {
	old := m.Servers[report.ID]
	if old == nil || old.Host != node {
		return cloud.Txn{}
	}
	if report.State == cloud.InstanceDeleted {
		return r.noteGone(m, old)
	}
	s := *old
	s.State, s.Fault = report.State, ""
	if report.State == cloud.InstanceError {
		s.Fault = faultText(report.Fault)
	}
	asked := s.RebootGeneration > s.DoneReboot || s.RebuildGeneration > s.DoneRebuild
	if report.State == cloud.InstanceStopped && old.State == cloud.InstanceActive && !asked {
		s.Power = cloud.PowerOff // it halted itself: only os-start or a reboot starts it again
	}
	s.DoneRebuild = max(s.DoneRebuild, min(report.RebuildGeneration, s.RebuildGeneration))
	s.DoneReboot = max(s.DoneReboot, min(report.RebootGeneration, s.RebootGeneration))
	if s.LaunchedAt.IsZero() || (s.DoneRebuild > old.DoneRebuild && !report.StartedAt.IsZero()) {
		s.LaunchedAt = report.StartedAt.UTC()
	}
	if s.State == old.State && s.Fault == old.Fault && s.DoneReboot == old.DoneReboot && s.DoneRebuild == old.DoneRebuild && s.LaunchedAt.Equal(old.LaunchedAt) {
		return cloud.Txn{}
	}
	return cloud.Txn{Put: []cloud.Record{&s}}
}

// noteGone: an instance that went without being asked to is an error; its
// record stays until its owner deletes it.
func (r *Role) noteGone(m *cloud.Model, old *cloud.Server) cloud.Txn {
	if old.Deleting {
		return r.remove(m, old)
	}
	if old.State == cloud.InstanceError {
		return cloud.Txn{}
	}
	s := *old
	s.State, s.Fault = cloud.InstanceError, "The instance is no longer on its node."
	return cloud.Txn{Put: []cloud.Record{&s}}
}

// faultText makes a node's text fit for the server's owner.
func faultText(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxFault {
		text = strings.ToValidUTF8(text[:maxFault], "")
	}
	return text
}
