package systemd

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"staunch/fault"
)

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fault.New(fault.Unsupported, "the machine's boot id: %v", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Boot is the start of process 1 besides the boot id: in a container the boot id is the outer machine's and stays.
type Boot struct {
	BootID string `json:"boot_id"`
	Init   uint64 `json:"init_ticks"`
}

// ThisBoot tells which boot this is.
func ThisBoot() (Boot, error) {
	id, err := bootID()
	if err != nil {
		return Boot{}, err
	}
	ticks, err := StartTicks(1)
	if err != nil {
		return Boot{}, fault.New(fault.Unsupported, "process 1: %v", err)
	}
	return Boot{id, ticks}, nil
}

// clockTicks is USER_HZ, which the kernel fixes at 100 on every architecture that we are built for.
const clockTicks = 100

// StartTime turns ticks since boot into a time, as see/scan does.
func StartTime(ticks uint64) (time.Time, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, fault.New(fault.Unsupported, "/proc/stat: %v", err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		var btime int64
		if n, err := fmt.Sscanf(line, "btime %d", &btime); n == 1 && err == nil {
			return time.Unix(btime, 0).Add(time.Duration(ticks) * time.Second / clockTicks), nil
		}
	}
	return time.Time{}, fault.New(fault.Unsupported, "/proc/stat does not tell when the machine booted")
}

// UnitOf reads the unit from the process's control group.
func UnitOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(b), "\n") {
		if _, group, found := strings.Cut(line, ":name=systemd:"); found {
			return lastUnit(group)
		}
		if group, found := strings.CutPrefix(line, "0::"); found {
			return lastUnit(group)
		}
	}
	return ""
}

func lastUnit(group string) string {
	unit := ""
	for _, part := range strings.Split(group, "/") {
		if suffixed(part) {
			unit = part
		}
	}
	return unit
}

func suffixed(part string) bool {
	for _, suffix := range []string{".service", ".scope", ".socket", ".mount", ".swap"} {
		if strings.HasSuffix(part, suffix) {
			return true
		}
	}
	return false
}

// Stale is a file of old code in the memory of a process: what its name means on disk is gone, or another file.
type Stale struct {
	PID  int    `json:"pid"`
	Path string `json:"path"`
}

// StaleIn lists executable mappings of processes whose file on disk is gone or another one now.
func StaleIn(processes []Process) []Stale {
	var found []Stale
	for _, p := range processes {
		seen := map[string]bool{}
		for _, path := range mappings(p.PID) {
			old, gone := strings.CutSuffix(path, " (deleted)")
			if gone && !seen[old] && !strings.HasPrefix(old, "/memfd:") && !strings.HasPrefix(old, "/dev/") && !strings.HasPrefix(old, "/SYSV") && !strings.HasPrefix(old, "/tmp/") {
				seen[old] = true
				found = append(found, Stale{p.PID, old})
			}
		}
	}
	return found
}

// mappings lists the files that a process maps executable, as the kernel names them.
func mappings(pid int) []string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil
	}
	defer f.Close()
	var paths []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), " ", 6)
		if len(fields) == 6 && len(fields[1]) == 4 && fields[1][2] == 'x' {
			if path := strings.TrimLeft(fields[5], " "); strings.HasPrefix(path, "/") {
				paths = append(paths, path)
			}
		}
	}
	return paths
}
