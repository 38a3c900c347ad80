// Package errand carries out the steps of certificate plans that no host does alone: making, ordering, staging, activating and revoking, and looks for their proofs.
package errand

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"sync"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/edge"
	"staunch/mend/cert/replace"
	"staunch/reach/act"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// Shelf keeps what must survive a crash: new keys' names and certificates, orders on their way, what CAs answered. It never gets a plain private key.
type Shelf interface {
	Load(ctx context.Context, name string) ([]byte, error) // NotFound
	Save(ctx context.Context, name string, body []byte) error
}

// Hosts carries out what is a host's own work.
type Hosts interface {
	Do(ctx context.Context, w run.Work) (act.Outcome, error)
	Happened(ctx context.Context, w run.Work) run.Seen
}

// Desk is what the errands are run from. Shelf and Hosts are not optional; what else is missing makes the steps that need it fail, with the reason.
type Desk struct {
	Shelf Shelf
	Hosts Hosts
	// Put brings a payload to a host.
	Put func(ctx context.Context, host, sha256 string, r io.Reader) error
	// CA connects to a CA with one of our accounts there.
	CA func(ctx context.Context, ca, account string) (*acme.Client, error)
	// Program is what stands between us and a CA that speaks no ACME; see Issue.
	Program func(issuer string) (path string, known bool)
	// Edge opens a CDN or balancer.
	Edge func(ctx context.Context, name string) (Edge, error)
	// Open opens what was sealed for whoever carries keys to edges. Nil: this machine is none.
	Open func(ctx context.Context, sealed, spki string) ([]byte, error)
	// Lookers look from here, Vantage from a host that the plan names beside; Watch is how often they look right before a revocation.
	Lookers []cert.Looker
	Vantage func(host string) cert.Looker
	Watch   cert.Watch
	// Again are pauses: after each of them the last look is made once more, where all that stood against a revocation was that something could not be seen.
	Again []time.Duration
	// Points tells every endpoint known now that may serve a key: what was learned after the plan was made counts as well.
	Points func(ctx context.Context, spki string) ([]cert.Point, error)
	// Addresses tells where an endpoint's name leads at this moment: a CDN names other addresses from minute to minute. May be nil.
	Addresses func(ctx context.Context, name string) ([]cert.Point, error)
	// Known tells whether a key was ever seen before: such a key is never used as a new one.
	Known func(ctx context.Context, spki string) (bool, error)
	// Voters are the people whose signatures under this plan were verified just now.
	Voters func(ctx context.Context) ([]string, error)
	// Revoker finds who can revoke a certificate: the account that ordered it, another account of that CA, or the key itself.
	Revoker func(ctx context.Context, leaf *x509.Certificate) (cert.Revoker, error)
	Now     func() time.Time

	learning sync.Mutex // what is learned of one key is read, added to and stored by one at a time
}

// Edge is one CDN or balancer: exactly one of Keyed and Requesting is set.
type Edge struct {
	Driver     string
	Keyed      edge.Keyed
	Requesting edge.Requesting
	Enrollment string   // for Requesting
	Current    edge.Ref // what is served there now
}

// Deed is how steps of one kind are carried out.
type Deed struct {
	do       func(ctx context.Context, w run.Work) (act.Outcome, error)
	happened func(ctx context.Context, w run.Work) run.Seen
}

// Do carries out one attempt.
func (d Deed) Do(ctx context.Context, w run.Work) (act.Outcome, error) { return d.do(ctx, w) }

// Happened tells whether an attempt took effect, without doing anything.
func (d Deed) Happened(ctx context.Context, w run.Work) run.Seen { return d.happened(ctx, w) }

// Deeds are the kinds of steps that the desk carries out.
func (d *Desk) Deeds() map[plan.Kind]Deed {
	return map[plan.Kind]Deed{
		plan.MakeKey:          {d.makeKey, d.keyMade},
		plan.OrderCertificate: {d.order, d.ordered},
		plan.Deploy:           {d.deploy, d.deployed},
		plan.Activate:         {d.activate, d.again},
		plan.Revoke:           {d.revoke, d.again},
		plan.Retire:           {d.retire, d.again},
	}
}

// Facts are what the desk observes.
func (d *Desk) Facts() map[plan.Fact]func(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	return map[plan.Fact]func(ctx context.Context, p plan.Predicate, w run.Work) run.Seen{
		plan.Serves: d.serves, plan.NotServed: d.notServed, plan.KeyExists: d.keyExists, plan.Issued: d.issued, plan.Revoked: d.revoked, plan.OnCRL: d.onCRL,
	}
}

// The names of documents on the shelf.
func madeDoc(key string) string          { return "made/" + key }
func orderDoc(key string) string         { return "order/" + key }
func stagedDoc(edge, key string) string  { return "staged/" + edge + "/" + key }
func beforeDoc(edge, key string) string  { return "before/" + edge + "/" + key }
func servedDoc(edge, spki string) string { return "served/" + edge + "/" + spki }
func revokedDoc(spki string) string      { return "revoked/" + spki }
func learnedDoc(spki string) string      { return "learned/" + spki }

func (d *Desk) done(says string) act.Outcome {
	return act.Outcome{Status: act.Done, Says: says, Ended: d.now()}
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// load reads a document; NotFound is no error but false.
func (d *Desk) load(ctx context.Context, name string, into any) (bool, error) {
	b, err := d.Shelf.Load(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return false, fault.New(fault.Corrupt, "what is stored as %s cannot be read: %v", name, err)
	}
	return true, nil
}

func (d *Desk) save(ctx context.Context, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fault.New(fault.Bug, "%v", err)
	}
	return d.Shelf.Save(ctx, name, b)
}

// Made reads what is stored of a new key.
func (d *Desk) Made(ctx context.Context, key string) (replace.Made, error) {
	var m replace.Made
	known, err := d.load(ctx, madeDoc(key), &m)
	if err == nil && !known {
		err = fault.New(fault.NotFound, "no new key is called %s", key).Hinted("a plan of new keys makes it: `staunch cert replace`")
	}
	return m, err
}

// with reads a step's parameters.
func with[T any](w run.Work) (T, error) {
	var v T
	if err := json.Unmarshal(w.Step.With, &v); err != nil {
		return v, fault.New(fault.Usage, "step %s does not say what to do: %v", w.Step.ID, err)
	}
	return v, nil
}

func yes(says string) run.Seen     { return run.Seen{Truth: run.Yes, Says: says} }
func no(says string) run.Seen      { return run.Seen{Truth: run.No, Says: says} }
func unknown(says string) run.Seen { return run.Seen{Truth: run.Unknown, Says: says} }

// again is for what may be done twice without doing more.
func (d *Desk) again(context.Context, run.Work) run.Seen {
	return no("whether it happened is not known; doing it again does no more than doing it once")
}

// deploy brings a bundle to a host, with the payloads that it names, or stages it at an edge.
func (d *Desk) deploy(ctx context.Context, w run.Work) (act.Outcome, error) {
	if w.Step.Act == nil {
		return d.stage(ctx, w)
	}
	if w.Undo {
		return d.Hosts.Do(ctx, w)
	}
	at, err := with[replace.At](w)
	if err != nil {
		return act.Outcome{}, err
	}
	m, err := d.Made(ctx, at.Key)
	if err != nil {
		return act.Outcome{}, err
	}
	if err := d.payloads(ctx, w, m); err != nil {
		return act.Outcome{}, fault.From(err, fault.Denied) // nothing was changed: payloads lie where nobody reads them
	}
	return d.Hosts.Do(ctx, w)
}

func (d *Desk) payloads(ctx context.Context, w run.Work, m replace.Made) error {
	p, err := w.Step.Act.Params()
	if err != nil {
		return err
	}
	place, ok := p.(*act.PlaceWith)
	if !ok || d.Put == nil {
		return nil
	}
	sum := sha256.Sum256([]byte(m.Chain))
	chain := hex.EncodeToString(sum[:])
	put := map[string]bool{}
	for _, f := range place.Files {
		for _, piece := range f.Pieces {
			if piece.SHA256 == "" || put[piece.SHA256] {
				continue
			}
			if piece.SHA256 != chain {
				return fault.New(fault.Conflict, "the plan places another chain than the one stored for %s", m.Name).Hinted("make a new plan")
			}
			if err := d.Put(ctx, w.Target.Host, chain, bytes.NewReader([]byte(m.Chain))); err != nil {
				return err
			}
			put[chain] = true
		}
	}
	return nil
}

func (d *Desk) deployed(ctx context.Context, w run.Work) run.Seen {
	if w.Step.Act != nil {
		return d.Hosts.Happened(ctx, w)
	}
	return d.again(ctx, w)
}

// Own revokes with the certificate's own key: what remains where nobody has the account any more.
type Own struct {
	Client *acme.Client
	Key    crypto.Signer
}

// Revoke asks the CA.
func (o Own) Revoke(ctx context.Context, leaf *x509.Certificate) (acme.Accepted, error) {
	return o.Client.Revoke(ctx, leaf, o.Key)
}
