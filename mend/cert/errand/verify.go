package errand

import (
	"context"
	"slices"
	"strings"
	"time"

	"staunch/mend/cert/acme"
	"staunch/see/probe/chain"
)

// How a certificate's revocation can stand.
const (
	Listed       = "listed"       // its CRL or responder says that it is revoked
	Pending      = "accepted"     // the CA took our request, its list does not show it yet
	NotRevoked   = "not revoked"  // not on its list, and no request of ours was accepted
	Unverifiable = "unverifiable" // it names neither a list nor a responder
	Doubtful     = "unknown"      // what it names gave no answer that can be believed
)

// Standing is what is known of one certificate's revocation. Says always names the day until which browsers may still accept it.
type Standing struct {
	Serial   string    `json:"serial"`
	State    string    `json:"state"`
	Says     string    `json:"says"`
	Reason   int       `json:"reason,omitempty"`
	NotAfter time.Time `json:"not_after"`
}

// Verify asks the lists (and OCSP responders) that certificates name. accepted is what CAs answered to our requests.
func Verify(ctx context.Context, leaves, issuers [][]byte, accepted []acme.Accepted, now time.Time) []Standing {
	fetch := chain.NewFetcher()
	var out []Standing
	for _, der := range leaves {
		c, err := chain.Judge(ctx, append([][]byte{der}, issuers...), chain.Trust{Now: now, Fetch: fetch})
		if err != nil {
			out = append(out, Standing{State: Doubtful, Says: err.Error()})
			continue
		}
		i := slices.IndexFunc(accepted, func(a acme.Accepted) bool { return sameSerial(a.Serial, c.Serial) && a.SPKI == c.SPKISHA256 })
		s := standing(c, i >= 0)
		if i >= 0 && s.State != Listed {
			s.Says += "; the CA accepted the request at " + accepted[i].At.UTC().Format("2006-01-02 15:04Z") + " and has 24 hours from then"
			s.Says += since(c.Revocation.Updated, accepted[i].At, now)
		}
		s.Says += "; browsers may still accept it until " + c.NotAfter.UTC().Format(time.DateOnly)
		out = append(out, s)
	}
	return out
}

// since tells a list that could not have it yet from one that should.
func since(made *time.Time, accepted, now time.Time) string {
	says := ""
	switch {
	case made == nil:
	case made.Before(accepted):
		says = "; what was read was made before that"
	default:
		says = "; what was read was made after that, at " + made.UTC().Format("2006-01-02 15:04Z")
	}
	if now.After(accepted.Add(24 * time.Hour)) {
		says += "; the CA IS OVERDUE: ask it"
	}
	return says
}

// sameSerial compares serial numbers in hex, which some write with a leading zero.
func sameSerial(a, b string) bool {
	return strings.TrimLeft(strings.ToLower(a), "0") == strings.TrimLeft(strings.ToLower(b), "0")
}

func standing(c *chain.Certificate, asked bool) Standing {
	s := Standing{Serial: c.Serial, Reason: c.Revocation.Reason, NotAfter: c.NotAfter}
	switch c.Revocation.State {
	case "revoked":
		s.State, s.Says = Listed, c.Serial+" is on the CA's list: "+c.Revocation.Says
		if s.Reason != acme.KeyCompromise {
			s.Says += ", which is not keyCompromise (1): clients that go by the reason may not refuse it"
		}
	case "unverifiable":
		s.State, s.Says = Unverifiable, c.Serial+" cannot be verified: "+c.Revocation.Says
	case "good":
		s.State = NotRevoked
		if asked {
			s.State = Pending
		}
		s.Says = c.Serial + " is not on its list yet (" + c.Revocation.Says + ")"
		if c.Revocation.Next != nil {
			s.Says += "; the next list is due by " + c.Revocation.Next.UTC().Format("2006-01-02 15:04Z")
		}
	default:
		s.State, s.Says = Doubtful, c.Serial+": "+c.Revocation.Says
	}
	return s
}
