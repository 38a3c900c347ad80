package deed

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"strconv"
	"strings"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/vault"
)

// makeKey makes a private key in the host's own store and answers with its CSR. The key never leaves in plain.
type makeKey struct{ with *act.MakeKeyWith }

// KeyMade is the After of make_key: what may leave the host.
type KeyMade struct {
	Name   string `json:"name"`
	SPKI   string `json:"spki_sha256"`
	CSR    string `json:"csr_pem"`
	Sealed string `json:"sealed,omitempty"` // the key, armoured age, for the recipients only
	// Recipient is this host's own age recipient: what another host seals its keys for it to.
	Recipient string `json:"recipient"`
}

func (b *Bench) vault() vault.Vault { return vault.Vault{State: b.Places.State} }

// sameStep tells whether two order ids are attempts at the same step of the same plan on the same host.
func sameStep(a, b string) bool {
	i, j := strings.LastIndexByte(a, '/'), strings.LastIndexByte(b, '/')
	return a == b || i > 0 && i == j && a[:i] == b[:j]
}

func (m makeKey) Check(_ context.Context, b *Bench) (act.Preview, error) {
	if _, err := vault.Recipients(m.with.Recipients); err != nil {
		return act.Preview{}, err
	}
	_, fact, err := b.vault().Read(m.with.Name)
	if err == nil && sameStep(fact.Order, b.Order.ID) {
		return act.Preview{Already: true, Says: []string{"an earlier attempt of this step made the key"}, Undo: "cannot be undone: nothing is done", Finds: Encode(struct{}{})}, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return act.Preview{}, fault.New(fault.Conflict, "a key named %s exists on this host", m.with.Name).Hinted("a key is never made over another one: choose a new name")
	}
	p := act.Preview{
		Says: []string{"make a new " + m.with.Type + " key named " + m.with.Name + " on this host, and its CSR for " + listed(m.with.Names)},
		Undo: "cannot be undone: a key is never thrown away by an order; unused it does no harm", Finds: Encode(struct{}{}),
	}
	if n := len(m.with.Recipients); n > 0 {
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

func (m makeKey) Do(_ context.Context, b *Bench) error {
	b.Tell("making a key")
	key, err := vault.Generate(m.with.Type)
	if err != nil {
		return nothingDone(fault.New(fault.Bug, "making the key: %v", err))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nothingDone(fault.New(fault.Bug, "the key: %v", err))
	}
	spki, err := vault.SPKI(key)
	if err != nil {
		return nothingDone(err)
	}
	return b.vault().Keep(m.with.Name, der, vault.Fact{Order: b.Order.ID, SPKI: spki})
}

// verify reads the key back from disk, proves that this very order made it, and makes what leaves the host from it.
func (m makeKey) Verify(_ context.Context, b *Bench) (any, error) {
	text, fact, err := b.vault().Read(m.with.Name)
	if err != nil {
		return nil, err
	}
	if !sameStep(fact.Order, b.Order.ID) {
		return nil, fault.New(fault.Conflict, "the key %s was made by another order", m.with.Name)
	}
	key, err := vault.Parse(text)
	if err != nil {
		return nil, err
	}
	made := KeyMade{Name: m.with.Name}
	if made.SPKI, err = vault.SPKI(key); err != nil {
		return nil, err
	}
	if made.CSR, err = vault.CSR(key, m.with.CommonName, m.with.Names, m.with.MustStaple); err != nil {
		return nil, err
	}
	if made.Recipient, err = b.vault().Recipient(); err != nil {
		return nil, err
	}
	made.Sealed, err = vault.Seal(text, m.with.Recipients)
	return made, err
}

func (m makeKey) Undo(context.Context, *Bench) (any, error) {
	return nil, denied("a key is never thrown away by an order")
}

// unseal takes a key that another host sealed for this one into the store.
type unseal struct{ with *act.UnsealWith }

func (u unseal) Check(_ context.Context, b *Bench) (act.Preview, error) {
	recipient, err := b.vault().Recipient()
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{
		Says: []string{"take the key " + u.with.SPKI[:12] + "... into this host's store as " + u.with.Name},
		Undo: "cannot be undone: a key is never thrown away by an order", Finds: Encode(map[string]string{"recipient": recipient}),
	}
	_, fact, err := b.vault().Read(u.with.Name)
	switch {
	case fault.Is(err, fault.NotFound):
		_, err = b.vault().Open(u.with.Sealed, u.with.SPKI)
	case err == nil && fact.SPKI == u.with.SPKI:
		p.Already, p.Says = true, []string{"the key is in this host's store already"}
	case err == nil:
		err = fault.New(fault.Conflict, "another key named %s exists on this host", u.with.Name)
	}
	return p, err
}

func (u unseal) Do(_ context.Context, b *Bench) error {
	text, err := b.vault().Open(u.with.Sealed, u.with.SPKI)
	if err != nil {
		return nothingDone(err)
	}
	block, _ := pem.Decode(text)
	return b.vault().Keep(u.with.Name, block.Bytes, vault.Fact{Order: b.Order.ID, SPKI: u.with.SPKI})
}

func (u unseal) Verify(_ context.Context, b *Bench) (any, error) {
	text, _, err := b.vault().Read(u.with.Name)
	if err != nil {
		return nil, err
	}
	key, err := vault.Parse(text)
	if err != nil {
		return nil, err
	}
	spki, err := vault.SPKI(key)
	if err == nil && spki != u.with.SPKI {
		err = fault.New(fault.Conflict, "the key in the store is %.12s", spki)
	}
	return KeyMade{Name: u.with.Name, SPKI: spki}, err
}

func (u unseal) Undo(context.Context, *Bench) (any, error) {
	return nil, denied("a key is never thrown away by an order")
}
