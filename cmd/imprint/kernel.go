package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/base/nft"
)

// kernelProbe is what this binary is started again as, in a network namespace
// that vanishes with it, to try what the agents will do.
const kernelProbe = "kernel-probe"

// checkKernel reports what the kernel lacks. It changes nothing on the machine.
func checkKernel() error {
	var missing []string
	for _, ns := range []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"} {
		if _, err := os.Stat("/proc/self/ns/" + ns); err != nil {
			missing = append(missing, ns+" namespaces")
		}
	}
	systems, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return fmt.Errorf("find out what the kernel can do: %w", err)
	}
	if !bytes.Contains(systems, []byte("\toverlay\n")) {
		// The module is loaded by its first use.
		if out, err := exec.Command("modprobe", "overlay").CombinedOutput(); err != nil {
			missing = append(missing, "the overlay file system ("+strings.TrimSpace(string(out))+")")
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("this kernel lacks %s", strings.Join(missing, ", "))
	}
	return probeNetwork()
}

// probeNetwork starts the probe and returns what it says.
func probeNetwork() error {
	mine, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("find out what the kernel can do: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", kernelProbe, mine)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if said := strings.TrimSpace(string(out)); said != "" {
		return errors.New(said)
	}
	return fmt.Errorf("find out what the kernel can do: %w", err)
}

// runKernelProbe tries bridges, veth pairs and nftables in this process's own
// namespace, which is not the one that args name, and returns the exit status.
func runKernelProbe(args []string) int {
	if err := tryNetwork(args); err != nil {
		fmt.Fprintln(os.Stderr, "this kernel lacks what networks need:", err)
		return exitFailed
	}
	return exitOK
}

func tryNetwork(args []string) error {
	mine, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	if len(args) != 1 || args[0] == mine {
		return errors.New("the probe is for a namespace of its own; imprint up starts it there")
	}
	ns, err := netns.Current()
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := netdev.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.AddBridge("br0", 1); err != nil {
		return fmt.Errorf("bridges: %w", err)
	}
	if err := h.AddVeth(netdev.Veth{Name: "v0", PeerName: "v1", PeerNS: ns}); err != nil {
		return fmt.Errorf("veth pairs: %w", err)
	}
	for _, t := range []struct {
		what  string
		table nft.Table
	}{
		{"nftables redirects (nft_redir, nf_nat, nf_conntrack)", nft.Table{Family: nft.Inet, Name: "probe", Chains: []nft.Chain{{
			Name: "c", Hook: nft.Hook{Type: nft.NAT, Point: nft.Prerouting, Priority: -100},
			Rules: []nft.Rule{nft.NewRule("", nft.Protocol4(), nft.Dest(netip.AddrFrom4([4]byte{169, 254, 169, 254})), nft.TCPDest(80), nft.Counter(), nft.Redirect(9697))},
		}}}},
		{"nftables for bridges", nft.Table{Family: nft.Bridge, Name: "probe", Chains: []nft.Chain{{
			Name: "c", Hook: nft.Hook{Type: nft.Filter, Point: nft.Prerouting}, Rules: []nft.Rule{nft.NewRule("", nft.EtherType(nft.EtherARP), nft.Accept())},
		}}}},
	} {
		if _, err := nft.Apply(ns, t.table); err != nil {
			return fmt.Errorf("%s: %w", t.what, err)
		}
	}
	return nil
}
