package cli

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"staunch/see/scan"
)

// listeners names every TCP port that some process of this machine listens on. A port on all addresses is asked on loopback.
func listeners(ctx context.Context, env *Env) ([]string, error) {
	report, err := scan.Look(ctx, scan.Question{NoDormant: true}, scan.Env{Cache: scanCache(env), Version: env.Version}, nil)
	if err != nil {
		return nil, err
	}
	return listening(report), nil
}

// listening turns a report into targets.
func listening(report *scan.Report) []string {
	var targets []string
	for _, p := range report.Processes {
		for _, l := range p.Listens {
			if l.Proto != "tcp" && l.Proto != "tcp6" {
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
	return slices.Compact(targets)
}
