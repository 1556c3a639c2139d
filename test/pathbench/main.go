// Program pathbench measures the way from an instance to the metadata service
// beside Neutron's: what a further namespace costs in memory in the namespace
// proxy and in one haproxy with Neutron's configuration, and how soon a proxy
// that starts serves all namespaces of a large node.
//
// The last lines are "NAME: ratio R (goal G)".
package main

import (
	"fmt"
	"os"
)

// Sizes of the run, and goals.
const (
	namespaces   = 5000
	haproxies    = 40
	goalMemory   = 0.014 // of haproxy's
	goalPerNS    = 50 << 10
	goalStart    = 10 // seconds
	workerName   = "worker"
	workerUserID = 65534
)

func main() {
	run := bench
	if len(os.Args) == 3 && os.Args[1] == workerName {
		run = func() error { return worker(os.Args[2]) }
	} else if len(os.Args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: pathbench")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pathbench:", err)
		os.Exit(1)
	}
}

func bench() error {
	if os.Getuid() != 0 {
		return fmt.Errorf("needs root: namespaces are made")
	}
	dir, err := os.MkdirTemp("", "pathbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the proxies are other users
		return err
	}
	all, err := makeNamespaces(namespaces)
	if err != nil {
		return err
	}
	agent, err := startAgent(dir)
	if err != nil {
		return err
	}
	defer agent.Close()

	ours, err := measureProxy(dir, all)
	if err != nil {
		return err
	}
	theirs, err := measureHAProxy(dir, all[:haproxies])
	if err != nil {
		return err
	}
	fmt.Printf("proxy: %.1f KiB private per namespace (goal %d), %.0f KiB in all; haproxy: %.1f KiB each\n",
		ours.perNamespace/1024, goalPerNS>>10, ours.all/1024, theirs/1024)
	fmt.Printf("proxy: %d namespaces answered %.1f s after its start (goal %d)\n", len(all), ours.start.Seconds(), goalStart)
	fmt.Printf("proxy-start-5000-namespaces-vs-10s: ratio %.3f (goal 1)\n", ours.start.Seconds()/goalStart)
	fmt.Printf("proxy-memory-per-namespace-vs-haproxy: ratio %.4f (goal %.3f)\n", ours.perNamespace/theirs, goalMemory)
	return nil
}
