package main

import (
	"strings"
	"testing"
)

// One process runs all stages when their commands say so; commands after it
// ended, or when it is killed, are the stages themselves.
func TestAllStages(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	g.write("etc/cloud/cloud.cfg", "datasource_list: [None]\noutput: {all: '>> /out'}\n")
	out := g.inGuest(`hostname localhost; mkdir -p /run/cloud-init/share
/cloud-init --all-stages & main=$!
while [ ! -S /run/cloud-init/share/final.sock ]; do :; done
/cloud-init init --local; /cloud-init init; /cloud-init modules --mode=config; /cloud-init modules --mode=final
wait $main; echo "main $?"; /cloud-init status
/cloud-init modules --mode=final; echo "alone $?"
/cloud-init --all-stages & main=$!
while [ ! -S /run/cloud-init/share/final.sock ]; do :; done
kill -9 $main; wait $main || true
/cloud-init init --local; echo "killed $?"`)
	for _, want := range []string{"main 0\n", "status: done\n", "alone 0\n", "killed 0\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %q", want, out)
		}
	}
	log := g.read("var/log/cloud-init.log")
	for name, n := range map[string]int{"'init-local'": 2, "'init'": 1, "'modules:config'": 1, "'modules:final'": 2} {
		if got := strings.Count(log, "running "+name+" at"); got != n {
			t.Errorf("%s ran %d times, want %d", name, got, n)
		}
	}
	if got := g.read("out"); strings.Count(got, "running 'modules:final'") != 2 {
		t.Errorf("output: %q", got)
	}
}

// Output goes where the configuration sends it, the user's from the network
// stage on, standard error by itself.
func TestOutputOfScripts(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	g.write("etc/cloud/cloud.cfg", `datasource_list: [None]
datasource:
  None:
    userdata_raw: |
      #cloud-config
      output: {all: "| cat >> /piped", final: ["> /final.out", ">> /final.err"]}
      bootcmd: [echo from bootcmd]
      runcmd: [echo out, "echo err >&2"]
`)
	g.write("final.out", "old\n")
	g.inGuest(`hostname localhost
/cloud-init init --local; /cloud-init init; /cloud-init modules --mode=config; /cloud-init modules --mode=final`)
	if got := g.read("final.out"); !strings.Contains(got, "\nout\n") || strings.Contains(got, "err\n") || strings.Contains(got, "old") {
		t.Errorf("final.out: %q", got)
	}
	if got := g.read("final.err"); !strings.Contains(got, "err\n") {
		t.Errorf("final.err: %q", got)
	}
	if got := g.read("piped"); !strings.Contains(got, "from bootcmd\n") || !strings.Contains(got, "running 'modules:config'") {
		t.Errorf("piped: %q", got)
	}
}
