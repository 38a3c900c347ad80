package act

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"staunch/fault"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/sys/unix"
)

// makeKey makes a private key in the host's own store and answers with its CSR. The key never leaves in plain.
type makeKey struct{ with *MakeKeyWith }

// KeyMade is the After of make_key: what may leave the host.
type KeyMade struct {
	Name   string `json:"name"`
	SPKI   string `json:"spki_sha256"`
	CSR    string `json:"csr_pem"`
	Sealed string `json:"sealed,omitempty"` // the key, armoured age, for the recipients only
	// Recipient is this host's own age recipient: what another host seals its keys for it to.
	Recipient string `json:"recipient"`
}

// keyFact stands in the key's own file, before the PEM block, so that a key never lies there without it.
type keyFact struct {
	Order string
	SPKI  string
}

func (b *bench) keyPath(name string) string {
	return filepath.Join(b.Places.State, "keys", name+".pem")
}

// readKey reads a private key of the store: PKCS #8 PEM and nothing else.
func (b *bench) readKey(name string) ([]byte, keyFact, error) {
	text, err := os.ReadFile(b.keyPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, keyFact{}, fault.New(fault.NotFound, "this host's store has no key %s", name)
	}
	if err != nil {
		return nil, keyFact{}, onDisk(err, "the key store")
	}
	var fact keyFact
	if _, err := fmt.Sscanf(string(text), "order %s\nspki %s\n", &fact.Order, &fact.SPKI); err != nil {
		return nil, fact, fault.New(fault.Corrupt, "the key %s in this host's store is damaged", name)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fact, fault.New(fault.Corrupt, "the key %s in this host's store is damaged", name)
	}
	return pem.EncodeToMemory(block), fact, nil
}

// keepKey writes a key that nothing may lose: on disk when it returns, never over another one.
func (b *bench) keepKey(name string, der []byte, spki string) error {
	dir := filepath.Dir(b.keyPath(name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return onDisk(err, dir)
	}
	text := fmt.Sprintf("order %s\nspki %s\n%s", b.order.ID, spki, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return writeNew(b.keyPath(name), []byte(text))
}

// writeNew writes a file beside its place and links it there only if the name is free.
func writeNew(path string, content []byte) error {
	staged := path + ".new"
	f, err := os.OpenFile(staged, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return onDisk(err, path)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, staged, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "%s exists", path)
	}
	if err != nil {
		return onDisk(err, path)
	}
	return nil
}

// sameStep tells whether two order ids are attempts at the same step of the same plan on the same host.
func sameStep(a, b string) bool {
	i, j := strings.LastIndexByte(a, '/'), strings.LastIndexByte(b, '/')
	return a == b || i > 0 && i == j && a[:i] == b[:j]
}

func (m makeKey) check(_ context.Context, b *bench) (Preview, error) {
	if _, err := m.recipients(); err != nil {
		return Preview{}, err
	}
	_, fact, err := b.readKey(m.with.Name)
	if err == nil && sameStep(fact.Order, b.order.ID) {
		return Preview{Already: true, Says: []string{"an earlier attempt of this step made the key"}, Undo: "cannot be undone: nothing is done", Finds: encode(struct{}{})}, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return Preview{}, fault.New(fault.Conflict, "a key named %s exists on this host", m.with.Name).Hinted("a key is never made over another one: choose a new name")
	}
	p := Preview{
		Says: []string{"make a new " + m.with.Type + " key named " + m.with.Name + " on this host, and its CSR for " + listed(m.with.Names)},
		Undo: "cannot be undone: a key is never thrown away by an order; unused it does no harm", Finds: encode(struct{}{}),
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

func (m makeKey) recipients() ([]age.Recipient, error) {
	var found []age.Recipient
	for _, text := range m.with.Recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, usage("recipient %.80q: %v", text, err)
		}
		found = append(found, r)
	}
	return found, nil
}

func (m makeKey) do(_ context.Context, b *bench) error {
	b.says("making a key")
	key, err := generate(m.with.Type)
	if err != nil {
		return nothingDone(fault.New(fault.Bug, "making the key: %v", err))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nothingDone(fault.New(fault.Bug, "the key: %v", err))
	}
	spki, err := spkiOf(key)
	if err != nil {
		return nothingDone(err)
	}
	return b.keepKey(m.with.Name, der, spki)
}

func generate(kind string) (crypto.Signer, error) {
	switch kind {
	case "ecdsa-p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	bits, err := strconv.Atoi(strings.TrimPrefix(kind, "rsa-"))
	if err != nil {
		return nil, err
	}
	return rsa.GenerateKey(rand.Reader, bits)
}

func spkiOf(key crypto.Signer) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fault.New(fault.Corrupt, "public key: %v", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fault.New(fault.Corrupt, "not a private key (PKCS #8 PEM)")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fault.New(fault.Corrupt, "the private key is not understood")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fault.New(fault.Unsupported, "the private key cannot sign")
	}
	return signer, nil
}

// verify reads the key back from disk, proves that this very order made it, and makes what leaves the host from it.
func (m makeKey) verify(_ context.Context, b *bench) (any, error) {
	text, fact, err := b.readKey(m.with.Name)
	if err != nil {
		return nil, err
	}
	if !sameStep(fact.Order, b.order.ID) {
		return nil, fault.New(fault.Conflict, "the key %s was made by another order", m.with.Name)
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	made := KeyMade{Name: m.with.Name}
	if made.SPKI, err = spkiOf(key); err != nil {
		return nil, err
	}
	if made.CSR, err = m.csr(key); err != nil {
		return nil, err
	}
	if made.Recipient, err = b.Recipient(); err != nil {
		return nil, err
	}
	made.Sealed, err = m.seal(text)
	return made, err
}

// mustStaple is the TLS feature extension with status_request (RFC 7633).
func mustStaple() pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 0x03, 0x02, 0x01, 0x05}}
}

func (m makeKey) csr(key crypto.Signer) (string, error) {
	request := x509.CertificateRequest{Subject: pkix.Name{CommonName: m.with.CommonName}}
	for _, name := range m.with.Names {
		if ip := net.ParseIP(name); ip != nil {
			request.IPAddresses = append(request.IPAddresses, ip)
		} else {
			request.DNSNames = append(request.DNSNames, name)
		}
	}
	if m.with.MustStaple {
		request.ExtraExtensions = []pkix.Extension{mustStaple()}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &request, key)
	if err != nil {
		return "", fault.New(fault.Usage, "CSR: %v", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

func (m makeKey) seal(text []byte) (string, error) {
	recipients, err := m.recipients()
	if err != nil || len(recipients) == 0 {
		return "", err
	}
	var out bytes.Buffer
	armoured := armor.NewWriter(&out)
	w, err := age.Encrypt(armoured, recipients...)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = errors.Join(w.Close(), armoured.Close())
	}
	if err != nil {
		return "", fault.New(fault.Bug, "sealing the key: %v", err)
	}
	return out.String(), nil
}

func (m makeKey) undo(context.Context, *bench) (any, error) {
	return nil, denied("a key is never thrown away by an order")
}

// Recipient returns this host's age recipient, and makes its identity at the first call.
func (e *Engine) Recipient() (string, error) {
	id, err := e.identity()
	if err != nil {
		return "", err
	}
	return id.Recipient().String(), nil
}

func (e *Engine) identity() (*age.X25519Identity, error) {
	path := filepath.Join(e.Places.State, "age.key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		fresh, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, fault.New(fault.Bug, "making the host's age identity: %v", err)
		}
		if err := os.MkdirAll(e.Places.State, 0o700); err != nil {
			return nil, onDisk(err, e.Places.State)
		}
		if err := writeNew(path, []byte(fresh.String()+"\n")); err != nil && !fault.Is(err, fault.Conflict) {
			return nil, err
		}
		text, err = os.ReadFile(path)
		if err != nil {
			return nil, onDisk(err, path)
		}
	} else if err != nil {
		return nil, onDisk(err, path)
	}
	id, err := age.ParseX25519Identity(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "the host's age identity is damaged")
	}
	return id, nil
}

// unseal takes a key that another host sealed for this one into the store.
type unseal struct{ with *UnsealWith }

func (u unseal) open(b *bench) ([]byte, error) {
	id, err := b.identity()
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(armor.NewReader(strings.NewReader(u.with.Sealed)), id)
	if err != nil {
		return nil, denied("the sealed key is not for this host, or it is damaged: %v", err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, 64<<10))
	if err != nil {
		return nil, denied("the sealed key is damaged: %v", err)
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	spki, err := spkiOf(key)
	if err != nil {
		return nil, err
	}
	if spki != u.with.SPKI {
		return nil, denied("the sealed key is %.12s, not %.12s", spki, u.with.SPKI)
	}
	return text, nil
}

func (u unseal) check(_ context.Context, b *bench) (Preview, error) {
	recipient, err := b.Recipient()
	if err != nil {
		return Preview{}, err
	}
	p := Preview{
		Says: []string{"take the key " + u.with.SPKI[:12] + "... into this host's store as " + u.with.Name},
		Undo: "cannot be undone: a key is never thrown away by an order", Finds: encode(map[string]string{"recipient": recipient}),
	}
	_, fact, err := b.readKey(u.with.Name)
	switch {
	case fault.Is(err, fault.NotFound):
		_, err = u.open(b)
	case err == nil && fact.SPKI == u.with.SPKI:
		p.Already, p.Says = true, []string{"the key is in this host's store already"}
	case err == nil:
		err = fault.New(fault.Conflict, "another key named %s exists on this host", u.with.Name)
	}
	return p, err
}

func (u unseal) do(_ context.Context, b *bench) error {
	text, err := u.open(b)
	if err != nil {
		return nothingDone(err)
	}
	block, _ := pem.Decode(text)
	return b.keepKey(u.with.Name, block.Bytes, u.with.SPKI)
}

func (u unseal) verify(_ context.Context, b *bench) (any, error) {
	text, _, err := b.readKey(u.with.Name)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	spki, err := spkiOf(key)
	if err == nil && spki != u.with.SPKI {
		err = fault.New(fault.Conflict, "the key in the store is %.12s", spki)
	}
	return KeyMade{Name: u.with.Name, SPKI: spki}, err
}

func (u unseal) undo(context.Context, *bench) (any, error) {
	return nil, denied("a key is never thrown away by an order")
}
