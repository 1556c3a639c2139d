package main

import (
	"strings"
	"testing"
)

func FuzzReadEvents(f *testing.F) {
	f.Add("2026-11-21 04:00:00,000 - util.py[DEBUG]: Cloud-init v. 22.4.2 running 'init-local' at x. Up 4.00 seconds.\n" +
		"2026-11-21 04:00:00,101 - handlers.py[DEBUG]: finish: init-local/check-cache: SUCCESS: no cache found\n")
	f.Add("2026-11-21 04:00:00,100 - a: start: b: \n2026-11-21 04:00:00,100 - a: finish: b: x")
	f.Add("2026-13-41 04:00:00,100 - a: finish: b: c")
	f.Fuzz(func(t *testing.T, log string) {
		events := readEvents(log)
		if len(events) > strings.Count(log, "\n")+1 {
			t.Errorf("%d events", len(events))
		}
		for _, form := range []func([]logEvent) (string, int){blame, dumpEvents,
			func(e []logEvent) (string, int) { return showEvents(e, "%I%D @%Es +%ds") }} {
			if text, status := form(events); text == "" || status != exitOK {
				t.Errorf("status %d, %q", status, text)
			}
		}
	})
}

func FuzzArguments(f *testing.F) {
	for _, line := range []string{"init --local", "modules -mconfig", "query -lav x", "single --name=a b -- c", "devel make-mime -f -a b:c", "clean --mach", "-", "--=", "status -wl --format"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p := &program{name: "cloud-init"}
		cmd, help, err := p.commands(t.Context()).parse(strings.Split(line, " "))
		if cmd == nil || err == nil && !help && cmd.run == nil {
			t.Errorf("nothing to run: %v", err)
		}
		if cmd != nil && (cmd.usage() == "" || cmd.help() == "") {
			t.Error("no usage")
		}
	})
}
