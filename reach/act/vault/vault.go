// Package vault keeps the private keys that were made on this host or sealed for it: nothing leaves it in plain but into files of this host.
package vault

import (
	"bytes"
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

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/sys/unix"

	"staunch/fault"
	"staunch/reach/act/files"
)

// Vault is a directory that only root can read.
type Vault struct{ State string }

// Fact stands in the key's own file, before the PEM block, so that a key never lies there without it.
type Fact struct {
	Order string
	SPKI  string
}

func (v Vault) path(name string) string {
	return filepath.Join(v.State, "keys", name+".pem")
}

// Read reads a private key of the store: PKCS #8 PEM and nothing else.
func (v Vault) Read(name string) ([]byte, Fact, error) {
	text, err := os.ReadFile(v.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Fact{}, fault.New(fault.NotFound, "this host's store has no key %s", name)
	}
	if err != nil {
		return nil, Fact{}, files.NoRoom(err, "the key store")
	}
	var fact Fact
	if _, err := fmt.Sscanf(string(text), "order %s\nspki %s\n", &fact.Order, &fact.SPKI); err != nil {
		return nil, fact, fault.New(fault.Corrupt, "the key %s in this host's store is damaged", name)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fact, fault.New(fault.Corrupt, "the key %s in this host's store is damaged", name)
	}
	return pem.EncodeToMemory(block), fact, nil
}

// Keep writes a key that nothing may lose: on disk when it returns, never over another one.
func (v Vault) Keep(name string, der []byte, fact Fact) error {
	dir := filepath.Dir(v.path(name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return files.NoRoom(err, dir)
	}
	text := fmt.Sprintf("order %s\nspki %s\n%s", fact.Order, fact.SPKI, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return writeNew(v.path(name), []byte(text))
}

// writeNew writes a file beside its place and links it there only if the name is free.
func writeNew(path string, content []byte) error {
	staged := path + ".new"
	f, err := os.OpenFile(staged, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return files.NoRoom(err, path)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, staged, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	}
	if err == nil {
		err = files.SyncDir(filepath.Dir(path))
	}
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "%s exists", path)
	}
	if err != nil {
		return files.NoRoom(err, path)
	}
	return nil
}

// Generate makes a private key of a type of the closed list.
func Generate(kind string) (crypto.Signer, error) {
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

// SPKI returns the lower-case hex SHA-256 of a key's SubjectPublicKeyInfo.
func SPKI(key crypto.Signer) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fault.New(fault.Corrupt, "public key: %v", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// Parse reads PKCS #8 PEM.
func Parse(text []byte) (crypto.Signer, error) {
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

// Recipients reads age recipients (age1...).
func Recipients(texts []string) ([]age.Recipient, error) {
	var found []age.Recipient
	for _, text := range texts {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fault.New(fault.Usage, "recipient %.80q: %v", text, err)
		}
		found = append(found, r)
	}
	return found, nil
}

// mustStaple is the TLS feature extension with status_request (RFC 7633).
func mustStaple() pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 0x03, 0x02, 0x01, 0x05}}
}

// CSR makes a request for DNS names and addresses.
func CSR(key crypto.Signer, commonName string, names []string, staple bool) (string, error) {
	request := x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			request.IPAddresses = append(request.IPAddresses, ip)
		} else {
			request.DNSNames = append(request.DNSNames, name)
		}
	}
	if staple {
		request.ExtraExtensions = []pkix.Extension{mustStaple()}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &request, key)
	if err != nil {
		return "", fault.New(fault.Usage, "CSR: %v", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// Seal encrypts a key to recipients, armoured; "" without any.
func Seal(text []byte, to []string) (string, error) {
	recipients, err := Recipients(to)
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

// Recipient returns this host's age recipient, and makes its identity at the first call.
func (v Vault) Recipient() (string, error) {
	id, err := v.identity()
	if err != nil {
		return "", err
	}
	return id.Recipient().String(), nil
}

func (v Vault) identity() (*age.X25519Identity, error) {
	path := filepath.Join(v.State, "age.key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		fresh, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, fault.New(fault.Bug, "making the host's age identity: %v", err)
		}
		if err := os.MkdirAll(v.State, 0o700); err != nil {
			return nil, files.NoRoom(err, v.State)
		}
		if err := writeNew(path, []byte(fresh.String()+"\n")); err != nil && !fault.Is(err, fault.Conflict) {
			return nil, err
		}
		text, err = os.ReadFile(path)
		if err != nil {
			return nil, files.NoRoom(err, path)
		}
	} else if err != nil {
		return nil, files.NoRoom(err, path)
	}
	id, err := age.ParseX25519Identity(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "the host's age identity is damaged")
	}
	return id, nil
}

// Open decrypts what another host sealed for this one and proves that it is the key that was meant.
func (v Vault) Open(sealed, want string) ([]byte, error) {
	id, err := v.identity()
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(armor.NewReader(strings.NewReader(sealed)), id)
	if err != nil {
		return nil, fault.New(fault.Denied, "the sealed key is not for this host, or it is damaged: %v", err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, 64<<10))
	if err != nil {
		return nil, fault.New(fault.Denied, "the sealed key is damaged: %v", err)
	}
	key, err := Parse(text)
	if err != nil {
		return nil, err
	}
	spki, err := SPKI(key)
	if err != nil {
		return nil, err
	}
	if spki != want {
		return nil, fault.New(fault.Denied, "the sealed key is %.12s, not %.12s", spki, want)
	}
	return text, nil
}
