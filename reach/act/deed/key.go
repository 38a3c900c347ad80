package deed

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"strconv"
	"strings"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/vault"
)

// MakeKey makes a private key in the host's own store and answers with its CSR. The key never leaves in plain.
type MakeKey struct{ With *act.MakeKeyWith }

// KeyMade is the After of make_key: what may leave the host.
type KeyMade struct {
	Name   string `json:"name"`
	SPKI   string `json:"spki_sha256"`
	CSR    string `json:"csr_pem"`
	Sealed string `json:"sealed,omitempty"` // the key, armoured age, for the recipients only
	// Recipient is this host's own age recipient: what another host seals its keys for it to.
	Recipient string `json:"recipient"`
}

func keysOf(b *bench.Bench) vault.Vault { return vault.Vault{State: b.Places.State} }

// sameStep tells whether two order ids are attempts at the same step of the same plan on the same host.
func sameStep(a, b string) bool {
	i, j := strings.LastIndexByte(a, '/'), strings.LastIndexByte(b, '/')
	return a == b || i > 0 && i == j && a[:i] == b[:j]
}

// Check tells whether the key is there already, or would be made.
func (m MakeKey) Check(_ context.Context, b *bench.Bench) (act.Preview, error) {
	if _, err := vault.Recipients(m.With.Recipients); err != nil {
		return act.Preview{}, err
	}
	_, fact, err := keysOf(b).Read(m.With.Name)
	if err == nil && sameStep(fact.Order, b.Order.ID) {
		return act.Preview{Already: true, Says: []string{"an earlier attempt of this step made the key"}, Undo: "cannot be undone: nothing is done", Finds: bench.Encode(struct{}{})}, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return act.Preview{}, fault.New(fault.Conflict, "a key named %s exists on this host", m.With.Name).Hinted("a key is never made over another one: choose a new name")
	}
	p := act.Preview{
		Says: []string{"make a new " + m.With.Type + " key named " + m.With.Name + " on this host, and its CSR for " + listed(m.With.Names)},
		Undo: "cannot be undone: a key is never thrown away by an order; unused it does no harm", Finds: bench.Encode(struct{}{}),
	}
	if n := len(m.With.Recipients); n > 0 {
		p.Says = append(p.Says, "the key leaves the host only encrypted to the recipients that the order names ("+strconv.Itoa(n)+")")
	} else {
		p.Says = append(p.Says, "the key never leaves the host")
	}
	return p, nil
}

func listed(names []string) string {
	if len(names) <= 5 {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:5], ", ") + " and " + strconv.Itoa(len(names)-5) + " more"
}

// Do makes the key and keeps it in the host's vault.
func (m MakeKey) Do(_ context.Context, b *bench.Bench) error {
	b.Tell("making a key")
	key, err := vault.Generate(m.With.Type)
	if err != nil {
		return bench.Untouched(fault.New(fault.Bug, "making the key: %v", err))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return bench.Untouched(fault.New(fault.Bug, "the key: %v", err))
	}
	spki, err := vault.SPKI(key)
	if err != nil {
		return bench.Untouched(err)
	}
	return keysOf(b).Keep(m.With.Name, der, vault.Fact{Order: b.Order.ID, SPKI: spki})
}

// Verify reads the key back from disk, proves that this very order made it, and makes what leaves the host from it.
func (m MakeKey) Verify(_ context.Context, b *bench.Bench) (any, error) {
	text, fact, err := keysOf(b).Read(m.With.Name)
	if err != nil {
		return nil, err
	}
	if !sameStep(fact.Order, b.Order.ID) {
		return nil, fault.New(fault.Conflict, "the key %s was made by another order", m.With.Name)
	}
	key, err := vault.Parse(text)
	if err != nil {
		return nil, err
	}
	made := KeyMade{Name: m.With.Name}
	if made.SPKI, err = vault.SPKI(key); err != nil {
		return nil, err
	}
	if made.CSR, err = vault.CSR(key, m.With.CommonName, m.With.Names, m.With.MustStaple); err != nil {
		return nil, err
	}
	if made.Recipient, err = keysOf(b).Recipient(); err != nil {
		return nil, err
	}
	made.Sealed, err = vault.Seal(text, m.With.Recipients)
	return made, err
}

// Undo refuses: a key is never thrown away by an order.
func (m MakeKey) Undo(context.Context, *bench.Bench) (any, error) {
	return nil, bench.Denied("a key is never thrown away by an order")
}

// Unseal takes a key that another host sealed for this one into the store.
type Unseal struct{ With *act.UnsealWith }

// Check tells whether the sealed key can be opened here.
func (u Unseal) Check(_ context.Context, b *bench.Bench) (act.Preview, error) {
	recipient, err := keysOf(b).Recipient()
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{
		Says: []string{"take the key " + u.With.SPKI[:12] + "... into this host's store as " + u.With.Name},
		Undo: "cannot be undone: a key is never thrown away by an order", Finds: bench.Encode(map[string]string{"recipient": recipient}),
	}
	_, fact, err := keysOf(b).Read(u.With.Name)
	switch {
	case fault.Is(err, fault.NotFound):
		_, err = keysOf(b).Open(u.With.Sealed, u.With.SPKI)
	case err == nil && fact.SPKI == u.With.SPKI:
		p.Already, p.Says = true, []string{"the key is in this host's store already"}
	case err == nil:
		err = fault.New(fault.Conflict, "another key named %s exists on this host", u.With.Name)
	}
	return p, err
}

// Do opens the key that another host sealed for this one, and keeps it in the vault.
func (u Unseal) Do(_ context.Context, b *bench.Bench) error {
	text, err := keysOf(b).Open(u.With.Sealed, u.With.SPKI)
	if err != nil {
		return bench.Untouched(err)
	}
	block, _ := pem.Decode(text)
	return keysOf(b).Keep(u.With.Name, block.Bytes, vault.Fact{Order: b.Order.ID, SPKI: u.With.SPKI})
}

// Verify proves that the kept key is the one whose public half was ordered.
func (u Unseal) Verify(_ context.Context, b *bench.Bench) (any, error) {
	text, _, err := keysOf(b).Read(u.With.Name)
	if err != nil {
		return nil, err
	}
	key, err := vault.Parse(text)
	if err != nil {
		return nil, err
	}
	spki, err := vault.SPKI(key)
	if err == nil && spki != u.With.SPKI {
		err = fault.New(fault.Conflict, "the key in the store is %.12s", spki)
	}
	return KeyMade{Name: u.With.Name, SPKI: spki}, err
}

// Undo refuses: a key is never thrown away by an order.
func (u Unseal) Undo(context.Context, *bench.Bench) (any, error) {
	return nil, bench.Denied("a key is never thrown away by an order")
}
