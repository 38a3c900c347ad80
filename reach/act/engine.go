package act

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/reach/act/systemd"
)

// Places says where a host keeps what acts depend on.
type Places struct {
	Root     string // directories above it are not judged; "/" on a real host
	Policy   string
	Signers  string
	Hooks    string
	State    string
	Payloads string // files named by their SHA-256, put there by host.Store
	Owner    uint32 // who must own policy, signers and hooks: 0 on a real host
}

// Standard is where they lie on a real host.
func Standard() Places {
	return Places{
		Root: "/", Policy: "/etc/staunch/policy.json", Signers: "/etc/staunch/allowed_signers", Hooks: "/etc/staunch/hooks",
		State: "/var/lib/staunch-host", Payloads: "/var/lib/staunch-host/payloads",
	}
}

// Engine carries out orders on this machine. Its zero Now and Maps are the real ones.
type Engine struct {
	Places Places
	// Local means: root typed it on this very machine. Only then is making safer possible without a mandate.
	Local bool
	// Self is the command that, with an order id behind it, calls SelfUndo: what a timer runs when nobody confirms.
	Self []string
	// Chroot runs package managers in a directory instead of on this machine; for tests and for images that do not run.
	Chroot string
	Now    func() time.Time
	// Says is told what goes on; may be nil.
	Says func(string)
}

// deed is one kind of act with its parameters. Values that pass between the methods are JSON, because they outlive the process.
type deed interface {
	// check looks, changes nothing, and fills in the preview; Finds is what do, verify and undo get as before.
	check(ctx context.Context, b *bench) (Preview, error)
	do(ctx context.Context, b *bench) error
	// verify proves from the machine itself that the act has its effect; after is for the record.
	verify(ctx context.Context, b *bench) (after any, err error)
	undo(ctx context.Context, b *bench) (after any, err error)
}

// bench is what a deed works with.
type bench struct {
	*Engine
	policy  Policy
	order   Order
	before  json.RawMessage
	log     []string
	did     bool // do has just ended well: what only its own end can tell is known
	systemd *systemd.Manager
}

func deedOf(a Act) (deed, error) {
	params, err := a.Params()
	if err != nil {
		return nil, err
	}
	switch with := params.(type) {
	case *UpgradeWith:
		return upgrade{with}, nil
	case *UnitsWith:
		return units{a.Kind, with}, nil
	case *HookWith:
		return hook{with.Name, with.Params}, nil
	case *DrainWith:
		return drain{a.Kind, with}, nil
	case *PlaceWith:
		return place{with}, nil
	case *RebootWith:
		return reboot{with}, nil
	case *SignalWith:
		return signal{with}, nil
	case *InstallLibWith:
		return installLib{with}, nil
	case *MakeKeyWith:
		return makeKey{with}, nil
	case *UnsealWith:
		return unseal{with}, nil
	}
	return nil, fault.New(fault.Unsupported, "act %s cannot be done by this version", a.Kind)
}

// Validate says what is wrong with an order on its face.
func (o Order) Validate() error {
	if o.ID == "" || len(o.ID) > 1024 || strings.ContainsFunc(o.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return usage("order id %.80q", o.ID)
	}
	if o.Undo && o.Confirm || (o.Undo || o.Confirm) != (o.Of != "") || o.Of == o.ID {
		return usage("an order either does an act, or undoes or confirms another order")
	}
	if o.DeadlineMS < 0 || o.DeadlineMS > time.Hour.Milliseconds() {
		return usage("deadline_ms: between 0 and 3,600,000")
	}
	if len(o.Mandate) > mandate.MaxMandate {
		return fault.New(fault.Full, "mandate of %d bytes", len(o.Mandate))
	}
	return nil
}

// hash names the order without its mandate.
func (o Order) hash() (string, error) {
	o.Mandate = nil
	b, err := mandate.Canonical(o)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// deadline bounds the act itself; looking before and proving after have their own time.
func (o Order) deadline() time.Duration {
	switch {
	case o.DeadlineMS > 0:
		return time.Duration(o.DeadlineMS) * time.Millisecond
	case o.Act.Kind == Upgrade:
		return 15 * time.Minute
	}
	return 2 * time.Minute
}

func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC().Truncate(time.Millisecond)
	}
	return time.Now().UTC().Truncate(time.Millisecond)
}

func (e *Engine) says(text string) {
	if e.Says != nil {
		e.Says(text)
	}
}

// bench prepares one order's work.
func (e *Engine) bench(o Order) (*bench, deed, error) {
	if err := o.Validate(); err != nil {
		return nil, nil, err
	}
	d, err := deedOf(o.Act)
	if err != nil {
		return nil, nil, err
	}
	policy, err := e.Places.readPolicy()
	if err != nil {
		return nil, nil, err
	}
	return &bench{Engine: e, policy: policy, order: o}, d, nil
}

// close ends what the bench opened.
func (b *bench) close() {
	if b.systemd != nil {
		b.systemd.Close()
		b.systemd = nil
	}
}

// units opens systemd at the first use. The connection outlives the order's deadline, because proving comes after it.
func (b *bench) units(ctx context.Context) (*systemd.Manager, error) {
	if b.systemd == nil {
		m, err := systemd.Open(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		b.systemd = m
	}
	return b.systemd, nil
}

// saved is the directory where this order (or the order that it undoes) keeps what undo needs.
func (b *bench) saved() string {
	id := b.order.ID
	if b.order.Of != "" {
		id = b.order.Of
	}
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(b.Places.State, "undo", hex.EncodeToString(sum[:16]))
}

// say keeps lines for the outcome's log, cleaned, the last 200.
func (b *bench) say(lines ...string) {
	for _, line := range lines {
		if line = Clean(line); line != "" {
			b.log = append(b.log, line)
		}
	}
	if n := len(b.log); n > 200 {
		b.log = b.log[n-200:]
	}
}

// Clean takes out of a line what a terminal would obey, and cuts it at 1,000 characters.
func Clean(line string) string {
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == 0xfffd:
			return -1
		}
		return r
	}, line)
	if len(line) > 1000 {
		line = strings.ToValidUTF8(line[:1000], "")
	}
	return strings.TrimRight(line, " ")
}

// Check previews an order: it reads, it changes nothing, and it says what Do would refuse. The error is for orders that make no sense.
func (e *Engine) Check(ctx context.Context, o Order) (Preview, error) {
	b, d, err := e.bench(o)
	if err != nil {
		return refusal(err)
	}
	defer b.close()
	orders, sequence, _, err := readJournal(e.Places.State)
	if err != nil && !fault.Is(err, fault.Denied) {
		return refusal(err)
	}
	if _, err := e.authority(b, d, orders); err != nil {
		return refusal(err)
	}
	p, err := b.preview(ctx, d, orders)
	if err != nil {
		return refusal(err)
	}
	p.Warns = append(p.Warns, unfinished(orders, sequence, o.ID)...)
	return p, nil
}

// refusal turns what Do would refuse into a preview, and keeps real errors.
func refusal(err error) (Preview, error) {
	switch fault.KindOf(err) {
	case fault.Usage, fault.Bug:
		return Preview{}, err
	}
	says := err.Error()
	if hint := fault.HintOf(err); hint != "" {
		says += " (" + hint + ")"
	}
	return Preview{Says: []string{}, Warns: []string{}, Refused: says, Undo: "nothing is done"}, nil
}

func (b *bench) preview(ctx context.Context, d deed, orders map[string]*entry) (Preview, error) {
	if b.order.Of != "" {
		return b.previewOf(orders)
	}
	p, err := d.check(ctx, b)
	if p.Says == nil {
		p.Says = []string{}
	}
	if p.Warns == nil {
		p.Warns = []string{}
	}
	return p, err
}

// previewOf is for orders that undo or confirm another one.
func (b *bench) previewOf(orders map[string]*entry) (Preview, error) {
	of, err := b.target(orders)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Says: []string{"undo " + of.Begun.Order.ID + ": " + string(of.Begun.Order.Act.Kind)}, Warns: []string{}, Undo: "cannot be undone: an undo is final", Finds: of.Begun.Before, Already: of.Undone}
	if b.order.Confirm {
		p.Says, p.Undo, p.Already = []string{"keep what " + of.Begun.Order.ID + " did: it will not undo itself"}, "order an undo of it", of.Confirmed
	}
	return p, nil
}

// target finds the order that this one undoes or confirms.
func (b *bench) target(orders map[string]*entry) (*entry, error) {
	of := orders[b.order.Of]
	if of == nil || of.Begun == nil || of.Begun.Order == nil {
		return nil, fault.New(fault.NotFound, "this host has no record of order %.80s", b.order.Of)
	}
	mine, err := mandate.Canonical(b.order.Act)
	if err != nil {
		return nil, err
	}
	its, err := mandate.Canonical(of.Begun.Order.Act)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(mine, its) {
		return nil, denied("order %.80s did another act than the one named here", b.order.Of)
	}
	if b.order.Undo && !of.Begun.CanUndo {
		return nil, denied("order %.80s cannot be undone", b.order.Of)
	}
	if b.order.Undo && of.Ended != nil && of.Ended.Status == Refused {
		return nil, denied("order %.80s was refused: there is nothing to undo", b.order.Of)
	}
	return of, nil
}

// unfinished names orders that were begun and never ended: a crash, a cut, a reboot. They must not stay unnoticed.
func unfinished(orders map[string]*entry, sequence []string, except string) []string {
	var found []string
	for _, id := range sequence {
		if e := orders[id]; id != except && e.Begun != nil && e.Ended == nil && e.Begun.Order != nil {
			found = append(found, "order "+id+" ("+string(e.Begun.Order.Act.Kind)+") was begun at "+e.Begun.At.Format(time.RFC3339)+" and its end was never seen")
		}
	}
	return found
}

// Unfinished tells of orders that were begun on this host and never ended, one sentence each.
func (e *Engine) Unfinished() ([]string, error) {
	orders, sequence, _, err := readJournal(e.Places.State)
	if err != nil {
		return nil, err
	}
	return unfinished(orders, sequence, ""), nil
}

// mkdirSaved makes the directory of saved.
func (b *bench) mkdirSaved() error {
	if err := os.MkdirAll(b.saved(), 0o700); err != nil {
		return onDisk(err, b.saved())
	}
	return nil
}
