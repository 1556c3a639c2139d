package compute

import (
	"net/http"
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Types of reboot.
const (
	soft = "SOFT"
	hard = "HARD"
)

// act runs the one action that the body names.
func (r *Role) act(req *api.Request) (api.Response, error) {
	o, err := req.Object("")
	if err != nil {
		return api.Response{}, err
	}
	names := o.Names()
	if len(names) != 1 {
		return api.Response{}, cloud.Errorf(cloud.Invalid, "Malformed request body: it must name one action.")
	}
	switch names[0] {
	case "reboot":
		return r.reboot(req, o)
	case "os-start":
		return r.setPower(req, o, "start", cloud.PowerOn)
	case "os-stop":
		return r.setPower(req, o, "stop", cloud.PowerOff)
	case "os-getConsoleOutput":
		return r.consoleOutput(req, o)
	case "rebuild":
		return r.rebuild(req, o)
	case refreshDrive:
		return r.refreshDrive(req, o)
	}
	return api.Response{}, cloud.Errorf(cloud.Invalid, "There is no such action: %.64q", names[0])
}

// wrongState is Nova's answer to an action that the server's state forbids.
func wrongState(s *cloud.Server, action, attribute, state string) error {
	return cloud.Errorf(cloud.Conflict, "Cannot '%s' instance %s while it is in %s %s", action, s.ServerID, attribute, state)
}

func (r *Role) reboot(req *api.Request, o *api.Object) (api.Response, error) {
	body := o.Object("reboot")
	body.Require("type")
	kind := strings.ToUpper(body.Enum("type", "HARD", "Hard", "hard", "SOFT", "Soft", "soft"))
	if err := o.Err(); err != nil {
		return api.Response{}, err
	}
	err := r.changeServer(req, func(_ *cloud.Model, s *cloud.Server) error {
		st := stateOf(s)
		switch {
		case s.Deleting || st.task == rebuilding:
			return wrongState(s, "reboot", "task_state", st.task)
		case s.Host == "" || st.vm == "building" || (kind == soft && st.vm != "active"):
			return wrongState(s, "reboot", "vm_state", st.vm)
		case kind == soft && st.task != "":
			return wrongState(s, "reboot", "task_state", st.task)
		}
		s.Power, s.RebootType = cloud.PowerOn, kind
		s.RebootGeneration++
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusAccepted)
}

// setPower starts or stops a server. A start is a hard reboot too: one that
// halted itself is wanted on already, and its node leaves it down until it is
// asked again.
func (r *Role) setPower(req *api.Request, o *api.Object, action string, power cloud.Power) (api.Response, error) {
	o.Ignore("os-" + action)
	err := r.changeServer(req, func(_ *cloud.Model, s *cloud.Server) error {
		st := stateOf(s)
		from := map[cloud.Power]string{cloud.PowerOn: "stopped", cloud.PowerOff: "active"}[power]
		switch {
		case s.Deleting || st.task == rebuilding:
			return wrongState(s, action, "task_state", st.task)
		case st.vm != from && !(power == cloud.PowerOff && st.vm == "error" && s.Host != ""):
			return wrongState(s, action, "vm_state", st.vm)
		}
		s.Power = power
		if power == cloud.PowerOn {
			s.RebootType = hard
			s.RebootGeneration++
		}
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusAccepted)
}

// refreshDrive is the action that has the config drive made anew; Nova has none
// such: a drive of Nova's is what it was at the launch.
const refreshDrive = "imprint-refreshConfigDrive"

func (r *Role) refreshDrive(req *api.Request, o *api.Object) (api.Response, error) {
	o.Ignore(refreshDrive)
	err := r.changeServer(req, func(_ *cloud.Model, s *cloud.Server) error {
		switch {
		case s.Deleting:
			return wrongState(s, "refresh the config drive", "task_state", stateOf(s).task)
		case !s.ConfigDrive:
			return cloud.Errorf(cloud.Conflict, "Instance %s has no config drive.", s.ServerID)
		}
		s.DriveGeneration++
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusAccepted)
}

// maxConsole bounds the output in bytes. nova: conf/compute.py and
// virt/libvirt MAX_CONSOLE_BYTES, 26.2.2.
const maxConsole = 100 << 10

func (r *Role) consoleOutput(req *api.Request, o *api.Object) (api.Response, error) {
	body := o.Object("os-getConsoleOutput")
	lines := body.Int("length", -1, -1, maxNumber)
	if err := o.Err(); err != nil {
		return api.Response{}, err
	}
	v, err := r.seen(req)
	if err != nil {
		return api.Response{}, err
	}
	if v.Host == "" {
		return api.Response{}, cloud.Errorf(cloud.Conflict, "Instance %s is not ready", v.ServerID)
	}
	if r.console == nil {
		return api.Response{}, &api.StatusError{Status: http.StatusNotImplemented,
			Text: "Unable to get console log, functionality not implemented"}
	}
	text, err := r.console.Console(req.Context(), v.Host, v.ServerID, lines)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(map[string]string{"output": cleanConsole(text)})
}

// cleanConsole keeps the end of the output and drops control characters, as
// Nova does (api/openstack/compute/console_output.py, 26.2.2).
func cleanConsole(text string) string {
	if len(text) > maxConsole {
		text = text[len(text)-maxConsole:]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
