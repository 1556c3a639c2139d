package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// rounds is how often each agent provisions the machine; the median counts.
const rounds = 5

// Goals of the agent's four stages without user work, from a config drive.
const (
	goalRatio = 0.05
	goalCPU   = 50.0 // ms
	goalRSS   = 15.0 // MiB
	goalSize  = 12.0 // MB
)

// provision are the four stages of an agent, behind its generator.
func provision(name, program, generator string) []string {
	var args []string
	for stage, command := range map[string]string{"0generator": generator, "1local": program + " init --local", "2network": program + " init",
		"3config": program + " modules --mode=config", "4final": program + " modules --mode=final"} {
		args = append(args, fmt.Sprintf("%s.%s=%s", name, stage, command))
	}
	slices.Sort(args)
	return args
}

func stageNames() []string { return []string{"local", "network", "config", "final"} }

// reset makes the machine as it was.
const reset = `cloud-init clean --logs; rm -rf /run/cloud-init /etc/ssh/ssh_host_* /etc/sudoers.d/90-cloud-init-users /root/.ssh
userdel -rf debian; hostname localhost; echo localhost >/etc/hostname; rm -f /etc/network/interfaces.d/50-cloud-init; true`

// bench runs both agents in one container, in turns, on the same config drive
// and with ed25519 host keys alone, and prints what they cost.
func (s *suite) bench() error {
	if !s.live {
		return errors.New("the real cloud-init is not built")
	}
	info, err := os.Stat(s.agent)
	if err != nil {
		return err
	}
	settings := filepath.Join(s.dir, "bench.cfg")
	if err := os.WriteFile(settings, []byte("ssh_genkeytypes: [ed25519]\n"), 0o644); err != nil {
		return err
	}
	const dirs = " /run/systemd/generator /run/systemd/generator.early /run/systemd/generator.late"
	args := []string{"--quiet", "--no-shims", "--out", filepath.Join(s.dir, "bench"), "--inject", s.agent + ":/usr/bin/imprint-guest:755",
		"--inject", settings + ":/etc/cloud/cloud.cfg.d/99-bench.cfg:644", "--seed", "configdrive-dir:" + filepath.Join(s.peers, "guest", "samples", "configdrive-min")}
	for round := range rounds {
		stages := slices.Concat([]string{fmt.Sprintf("none%d.1=/bin/true", round)}, provision(fmt.Sprintf("real%d", round), "/usr/bin/cloud-init", realGenerator+dirs), []string{fmt.Sprintf("reset%da=%s", round, reset)},
			provision(fmt.Sprintf("ours%d", round), "/usr/bin/imprint-guest", "/usr/bin/imprint-guest generator"+dirs), []string{fmt.Sprintf("reset%db=%s", round, reset)})
		for _, stage := range stages {
			args = append(args, "--stage", stage)
		}
	}
	if said, err := exec.Command(filepath.Join(s.peers, "guest", "run-container"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("did not run: %w: %s", err, said)
	}
	return s.printCosts(filepath.Join(s.dir, "bench", "stages.json"), float64(info.Size())/1e6)
}

// cost is what one stage took.
type cost struct {
	Stage string
	RC    int
	User  float64 `json:"user_s"`
	Sys   float64 `json:"sys_s"`
	RSS   float64 `json:"maxrss_kib"`
}

func (s *suite) printCosts(file string, size float64) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var all []cost
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	cpu, rss := map[string][]float64{}, 0.0
	for round := range rounds {
		for _, who := range []string{"none", "real", "ours"} {
			sum := 0.0
			for _, c := range all {
				name, stage, _ := strings.Cut(c.Stage, ".")
				if name != fmt.Sprintf("%s%d", who, round) || stage == "0generator" {
					continue
				}
				if c.RC != 0 {
					return fmt.Errorf("stage %s: status %d", c.Stage, c.RC)
				}
				if sum += (c.User + c.Sys) * 1e3; who == "ours" {
					rss = max(rss, c.RSS/1024)
				}
			}
			cpu[who] = append(cpu[who], sum)
		}
	}
	start := float64(len(stageNames())) * median(cpu["none"]) // what the container itself takes to start a command
	ours, real := median(cpu["ours"])-start, median(cpu["real"])-start
	fmt.Printf("CPU of starting four commands in the container, ms: %.1f (%.1f), taken off both\n", start, cpu["none"])
	fmt.Printf("CPU of the four stages, ms: cloud-init %.0f (%.0f), imprint-guest %.1f (%.1f), median of %d rounds\n", real, cpu["real"], ours, cpu["ours"], rounds)
	fmt.Printf("guest-stages-cpu: %.1f ms (goal %.0f)\n", ours, goalCPU)
	fmt.Printf("guest-stages-rss: %.1f MiB (goal %.0f)\n", rss, goalRSS)
	fmt.Printf("guest-size: %.1f MB (goal %.0f)\n", size, goalSize)
	fmt.Printf("guest-stages-cpu-vs-cloud-init: ratio %.3f (goal %.2f)\n", ours/real, goalRatio)
	return nil
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
