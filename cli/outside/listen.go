package outside

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"staunch/cli/desk"
	"staunch/see/scan"
)

// listeners names every TCP port that some process of this machine listens on. A port on all addresses is asked on loopback.
func listeners(ctx context.Context, env *desk.Env) ([]string, error) {
	report, err := scan.Look(ctx, scan.Question{NoDormant: true}, scan.Env{Cache: desk.ScanCache(env), Version: env.Version}, nil)
	if err != nil {
		return nil, err
	}
	targets, others := listening(report, inOurNetwork)
	if others > 0 {
		fmt.Fprintf(env.Stderr, "note: %d listening ports are in other network namespaces (containers) and cannot be asked from here: name them as strangers reach them\n", others)
	}
	return targets, nil
}

// inOurNetwork tells whether a process shares our network namespace: only then its ports are ours to ask. One that cannot be told is asked.
func inOurNetwork(pid int) bool {
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return true
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	return err != nil || theirs == ours
}

// listening turns a report into targets, and counts the ports of networks that are not ours.
func listening(report *scan.Report, ours func(pid int) bool) (targets []string, others int) {
	for _, p := range report.Processes {
		mine := len(p.Listens) > 0 && ours(p.PID)
		for _, l := range p.Listens {
			if l.Proto != "tcp" && l.Proto != "tcp6" {
				continue
			}
			if !mine {
				others++
				continue
			}
			addr, err := netip.ParseAddr(l.Addr)
			if err != nil {
				continue // a socket that is no address cannot be met by a stranger
			}
			host := addr.Unmap().WithZone("").String()
			if addr.IsUnspecified() {
				host = "127.0.0.1"
				if addr.Is6() {
					host = "::1"
				}
			}
			targets = append(targets, net.JoinHostPort(host, strconv.Itoa(l.Port)))
		}
	}
	slices.Sort(targets)
	return slices.Compact(targets), others
}
