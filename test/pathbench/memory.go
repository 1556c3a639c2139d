package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// private is the memory that a process shares with no other, in bytes. proc(5),
// smaps_rollup.
func private(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	sum, found := 0, 0
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "Private_Clean:" && fields[0] != "Private_Dirty:" {
			continue
		}
		kib, err := strconv.Atoi(fields[1])
		if err != nil {
			return 0, err
		}
		sum += kib
		found++
	}
	if found != 2 {
		return 0, fmt.Errorf("process %d: its private memory is not known", pid)
	}
	return float64(sum) * 1024, nil
}
