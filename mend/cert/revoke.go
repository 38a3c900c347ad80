package cert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mend/cert/acme"
)

// fresh is how old a proof may be when it is used: a look of yesterday says nothing about a CDN that rolled back since.
const fresh = 2 * time.Minute

// quorum is how many people have to agree to a revocation, whatever else a plan says.
const quorum = 2

// Revocation is the right to revoke one key: it can only be made from a proof, by Allow.
type Revocation struct {
	spki         string
	certificates []*x509.Certificate
	at           time.Time
	overrides    []Obstacle
}

// Consent is who agreed to a revocation.
type Consent struct {
	People   []string  // distinct people whose signatures over the plan were verified
	Override *Override // nil: nothing may stand against it
}

// Override is a statement, signed by at least two custodians, that names each endpoint that will break or could not be seen.
type Override struct {
	SPKI   string    `json:"spki_sha256"`
	Points []string  `json:"points"` // Point.String of each
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
	// Custodians are those who may sign it, two of them at least.
	Custodians []string `json:"custodians"`
	By         []string `json:"-"` // people whose signatures over it were verified
}

// Covers tells whether the override names this obstacle and is in force; who signed it is not asked here.
func (o *Override) Covers(spki string, a Obstacle, now time.Time) bool {
	return o != nil && o.SPKI == spki && strings.TrimSpace(o.Reason) != "" && now.Before(o.Until) && a.Kind != "unknown" && slices.Contains(o.Points, a.Point.String())
}

// signed counts the custodians who signed.
func (o *Override) signed() int {
	return distinct(slices.DeleteFunc(slices.Clone(o.By), func(who string) bool { return !slices.Contains(o.Custodians, who) }))
}

// Allow is the gate. It gives the right to revoke every certificate of the key, or says what stands against it. "Could not be seen"
// counts as "still serves".
func Allow(spki string, certificates []*x509.Certificate, known []Point, proof Serving, c Consent, now time.Time) (*Revocation, error) {
	if err := covers(spki, certificates, known, proof, now); err != nil {
		return nil, err
	}
	if people := distinct(c.People); people < quorum {
		return nil, fault.New(fault.Denied, "a revocation needs the votes of %d people, it has %d", quorum, people)
	}
	against := proof.Against(spki)
	if len(against) > 0 {
		if err := c.Override.permits(spki, against, now); err != nil {
			return nil, err
		}
	}
	return &Revocation{spki: spki, certificates: slices.Clone(certificates), at: now, overrides: against}, nil
}

// covers checks that the proof is about all that is known, and new.
func covers(spki string, certificates []*x509.Certificate, known []Point, proof Serving, now time.Time) error {
	if len(certificates) == 0 {
		return fault.New(fault.Usage, "no certificate of key %s is known", short(spki))
	}
	for _, c := range certificates {
		if got := SPKI(c); got != spki {
			return fault.New(fault.Usage, "certificate %s is of key %s, not of %s", c.SerialNumber.Text(16), short(got), short(spki))
		}
	}
	for _, p := range known {
		if !slices.Contains(proof.points, p) {
			return fault.New(fault.Denied, "%s was not looked at", p).Hinted("a revocation is proven against every endpoint that is known")
		}
	}
	if age := now.Sub(proof.ended); age > fresh || age < -fresh {
		return fault.New(fault.Denied, "the look at the endpoints is %s old", age.Round(time.Second)).Hinted("look again right before the revocation")
	}
	return nil
}

// permits tells whether the override names every obstacle. It never stands in for votes.
func (o *Override) permits(spki string, against []Obstacle, now time.Time) error {
	refuse := func() error {
		var lines []string
		for _, a := range against {
			lines = append(lines, a.Says)
		}
		return fault.New(fault.Denied, "key %s is not revoked: %s", short(spki), strings.Join(lines, "; ")).
			Hinted("replace it there first; two custodians may sign an override that names each endpoint that will break")
	}
	if o == nil || o.SPKI != spki {
		return refuse()
	}
	if n := o.signed(); n < quorum {
		return fault.New(fault.Denied, "the override is signed by %d custodians, it needs %d", n, quorum).Hinted("custodians (%s) sign it by approving the plan that holds it", strings.Join(o.Custodians, ", "))
	}
	if strings.TrimSpace(o.Reason) == "" || !now.Before(o.Until) {
		return fault.New(fault.Denied, "the override gives no reason, or ended at %s", o.Until.UTC().Format(time.RFC3339))
	}
	for _, a := range against {
		if !o.Covers(spki, a, now) {
			return fault.New(fault.Denied, "the override does not name this: %s", a.Says)
		}
	}
	return nil
}

func distinct(people []string) int {
	seen := map[string]bool{}
	for _, p := range people {
		if p = strings.TrimSpace(p); p != "" {
			seen[p] = true
		}
	}
	return len(seen)
}

// Revoker asks one CA to revoke one certificate.
type Revoker interface {
	Revoke(ctx context.Context, leaf *x509.Certificate) (acme.Accepted, error)
}

// Revoke asks the CAs, certificate by certificate, and returns what each said. Of a Revocation that is older than its proof may be,
// nothing is done. The first refusal does not stop the rest: the key is burnt either way.
func Revoke(ctx context.Context, r *Revocation, by func(*x509.Certificate) (Revoker, error), now time.Time) (done []acme.Accepted, failed []error) {
	if r == nil || now.Sub(r.at) > fresh || now.Before(r.at) {
		return nil, []error{fault.New(fault.Denied, "the right to revoke is no longer fresh").Hinted("look at the endpoints again")}
	}
	for _, c := range r.certificates {
		revoker, err := by(c)
		if err == nil {
			var a acme.Accepted
			if a, err = revoker.Revoke(ctx, c); err == nil {
				done = append(done, a)
				continue
			}
		}
		failed = append(failed, fault.From(fmt.Errorf("certificate %s: %w", c.SerialNumber.Text(16), err), fault.KindOf(err)))
	}
	return done, failed
}

// Overridden lists what was known to break when the right was given.
func (r *Revocation) Overridden() []Obstacle { return slices.Clone(r.overrides) }

// SPKI is the key's name everywhere: lower-case hex of the SHA-256 of its SubjectPublicKeyInfo.
func SPKI(c *x509.Certificate) string {
	return sha(c.RawSubjectPublicKeyInfo)
}

// SHA256 names a certificate: lower-case hex.
func SHA256(c *x509.Certificate) string { return sha(c.Raw) }

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func short(spki string) string {
	if len(spki) > 12 {
		return spki[:12]
	}
	return spki
}
