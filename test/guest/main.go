// Guest plays the golden cases to imprint-guest and compares the machines that
// it leaves with those of the real cloud-init.
//
// Each case is a seed. The agent provisions a container with it (run-container
// of the guest peers), and the result is compared (diff-runs) with that of the
// real cloud-init in the same container, or with its capture where the real one
// is not built. cases.txt lists the cases that pass and those that wait for
// something, differences.txt what is accepted as different, with the reason.
// Exit status: 0 all as listed, 1 something differs, 2 the peers are not there.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

func main() {
	var s suite
	flag.StringVar(&s.peers, "peers", envOr("IMPRINT_PEERS", "../shared/peers"), "directory of the peers")
	flag.StringVar(&s.golden, "golden", envOr("IMPRINT_GOLDEN", "../shared/golden"), "directory of the golden data")
	flag.StringVar(&s.agent, "agent", "bin/imprint-guest", "the agent")
	flag.StringVar(&s.list, "list", "test/guest", "directory of cases.txt and differences.txt")
	flag.StringVar(&s.keep, "keep", "", "directory to keep the results in")
	capture := flag.Bool("capture", false, "compare with the capture even where the real cloud-init is built")
	waiting := flag.Bool("waiting", false, "run the waiting cases too")
	flag.BoolVar(&s.verbose, "v", false, "print the accepted differences too")
	bench := flag.Bool("bench", false, "measure the agent beside the real cloud-init instead")
	flag.Parse()
	if err := s.open(*capture); err != nil {
		fmt.Fprintln(os.Stderr, "guest: error:", err)
		os.Exit(2)
	}
	failed, err := false, error(nil)
	if *bench {
		err = s.bench()
	} else {
		failed, err = s.run(flag.Args(), *waiting)
	}
	s.close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest: error:", err)
	}
	if failed || err != nil {
		os.Exit(1)
	}
}

func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

// suite is one run over the cases.
type suite struct {
	peers, golden, agent, list, keep string
	config                           string // of the system
	verbose                          bool

	live    bool // compare with the real cloud-init, not with its capture
	dir     string
	cases   []listed
	accepts []*accepted
}

// open finds the peers and reads the lists.
func (s *suite) open(capture bool) (err error) {
	build := filepath.Join(s.peers, "guest", "build-image")
	if _, err := os.Stat(build); err != nil {
		return fmt.Errorf("the guest peers are not there (IMPRINT_PEERS): %w", err)
	}
	if _, err := os.Stat(s.source("")); err != nil {
		return fmt.Errorf("the golden data are not there (IMPRINT_GOLDEN): %w", err)
	}
	s.live = !capture && built(build, "full")
	if !built(build, "bare") {
		return errors.New("no image without cloud-init; make it with " + build)
	}
	if s.cases, err = readCases(filepath.Join(s.list, "cases.txt")); err != nil {
		return err
	}
	if s.accepts, err = readAccepted(filepath.Join(s.list, "differences.txt")); err != nil {
		return err
	}
	if s.agent, err = filepath.Abs(s.agent); err != nil {
		return err
	}
	if s.dir = s.keep; s.dir != "" {
		err = os.MkdirAll(s.dir, 0o755)
	} else {
		s.dir, err = os.MkdirTemp("", "test-guest.")
	}
	if err != nil {
		return err
	}
	return s.systemConfig()
}

func (s *suite) close() {
	if s.keep == "" {
		os.RemoveAll(s.dir)
	}
}

// built tells whether an image is there; asking must not build it.
func built(build, image string) bool {
	out, err := exec.Command(build, "--path", image).Output()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(strings.TrimSpace(string(out)), "usr"))
	return err == nil
}

// source is a case's directory in the golden data.
func (s *suite) source(name string) string {
	return filepath.Join(s.golden, "cloud-init-22.4", "cases", name)
}

// job is something to compare.
type job struct {
	name string
	play func() ([]difference, error)
}

// jobs are the cases and the sessions of the command line, or some of them.
func (s *suite) jobs(only []string, waiting bool) []job {
	var all []job
	for _, c := range s.cases {
		if c.waits == "" || waiting || slices.Contains(only, c.name) {
			all = append(all, job{c.name, func() ([]difference, error) { return s.play(c) }})
		}
	}
	for _, c := range sessions() {
		all = append(all, job{"cli-" + c.name, func() ([]difference, error) { return s.commands(c) }})
	}
	return slices.DeleteFunc(all, func(j job) bool { return len(only) > 0 && !slices.Contains(only, j.name) })
}

// run plays the cases, two at a time, and prints their outcome.
func (s *suite) run(only []string, waiting bool) (failed bool, err error) {
	jobs := s.jobs(only, waiting)
	if len(jobs) == 0 {
		return true, errors.New("no such case")
	}
	against := "the real cloud-init"
	if !s.live {
		against = "the capture"
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	same, differ := 0, 0
	for _, j := range jobs {
		wg.Go(func() {
			slots <- struct{}{}
			all, err := j.play()
			<-slots
			rest := s.unaccepted(j.name, all)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				differ++
				fmt.Printf("== %s: %v\n", j.name, err)
			case len(rest) > 0:
				differ++
				fmt.Printf("== %s: %d differences\n%s", j.name, len(rest), text(rest))
			default:
				same++
			}
		})
	}
	wg.Wait()
	if len(only) == 0 {
		for _, a := range s.accepts {
			if !a.used.Load() {
				differ++
				fmt.Printf("== differences.txt: nothing differs so any more: %s\n", a)
			}
		}
	}
	for _, c := range s.cases {
		if c.waits != "" && len(only) == 0 {
			fmt.Printf("waiting: %s: %s\n", c.name, c.waits)
		}
	}
	fmt.Printf("%d same, %d differ, against %s\n", same, differ, against)
	return differ > 0, nil
}
