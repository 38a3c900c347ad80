package errand

import (
	"context"
	"net/netip"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/see/probe"
)

// Here looks from this machine, by real handshakes.
func Here(name string) cert.Looker {
	return cert.Looker{
		From: name,
		See: func(ctx context.Context, p cert.Point) ([]string, error) {
			e, err := endpointOf(p)
			if err != nil {
				return nil, err
			}
			return probe.ServesAnyone(ctx, e)
		},
		Meet: func(ctx context.Context, p cert.Point) (string, error) {
			e, err := endpointOf(p)
			if err != nil {
				return "", err
			}
			spki, _, err := probe.Serves(ctx, e)
			return spki, err
		},
	}
}

func endpointOf(p cert.Point) (probe.Endpoint, error) {
	at, err := netip.ParseAddrPort(p.Address)
	if err != nil {
		return probe.Endpoint{}, fault.New(fault.Usage, "%q is not an address and port", p.Address)
	}
	return probe.Endpoint{Address: at.Addr(), Port: at.Port(), Name: p.Name, SNI: p.SNI, StartTLS: p.StartTLS, Domain: p.Domain}, nil
}
