package mandate

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"

	"staunch/fault"

	"golang.org/x/crypto/ssh"
)

// Namespace separates our signatures from any other use of the same key (ssh-keygen -Y sign -n).
const Namespace = "staunch-plan"

// Source of the format: OpenSSH, PROTOCOL.sshsig.
const (
	magic        = "SSHSIG"
	sigVersion   = 1
	armor        = "SSH SIGNATURE"
	maxSignature = 16 << 10 // bytes of armoured text; the largest real ones (RSA 16384) are below 7 KB
	minRSA       = 2048     // bits
)

// Signature is one parsed OpenSSH signature. Parsing proves nothing: see Verify.
type Signature struct {
	Key       ssh.PublicKey
	Namespace string
	Hash      string // sha256 or sha512
	Sig       *ssh.Signature
}

type sigBlob struct {
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

type signedBlob struct {
	Namespace string
	Reserved  string
	Hash      string
	Digest    []byte
}

// ParseSignature reads one armoured signature as ssh-keygen -Y sign writes it.
func ParseSignature(armoured string) (Signature, error) {
	if len(armoured) > maxSignature {
		return Signature{}, fault.New(fault.Corrupt, "signature of %d bytes, at most %d", len(armoured), maxSignature)
	}
	block, rest := pem.Decode([]byte(armoured))
	if block == nil || block.Type != armor || len(block.Headers) != 0 || len(bytes.TrimSpace(rest)) != 0 {
		return Signature{}, fault.New(fault.Corrupt, "not one OpenSSH signature (-----BEGIN %s-----)", armor)
	}
	body, found := bytes.CutPrefix(block.Bytes, []byte(magic))
	if !found {
		return Signature{}, fault.New(fault.Corrupt, "signature does not start with %s", magic)
	}
	var blob sigBlob
	if err := ssh.Unmarshal(body, &blob); err != nil {
		return Signature{}, fault.New(fault.Corrupt, "signature: %v", err)
	}
	if blob.Version != sigVersion {
		return Signature{}, fault.New(fault.Unsupported, "signature of version %d", blob.Version)
	}
	key, err := ssh.ParsePublicKey(blob.PublicKey)
	if err != nil {
		return Signature{}, fault.New(fault.Corrupt, "signature's key: %v", err)
	}
	sig := new(ssh.Signature)
	if err := ssh.Unmarshal(blob.Signature, sig); err != nil {
		return Signature{}, fault.New(fault.Corrupt, "signature: %v", err)
	}
	return Signature{Key: key, Namespace: blob.Namespace, Hash: blob.Hash, Sig: sig}, acceptable(key, sig)
}

// acceptable refuses keys and algorithms that prove too little, and certificates, which nobody here can check.
func acceptable(key ssh.PublicKey, sig *ssh.Signature) error {
	allowed := map[string][]string{
		ssh.KeyAlgoED25519:   {ssh.KeyAlgoED25519},
		ssh.KeyAlgoSKED25519: {ssh.KeyAlgoSKED25519},
		ssh.KeyAlgoECDSA256:  {ssh.KeyAlgoECDSA256},
		ssh.KeyAlgoECDSA384:  {ssh.KeyAlgoECDSA384},
		ssh.KeyAlgoECDSA521:  {ssh.KeyAlgoECDSA521},
		ssh.KeyAlgoSKECDSA256: {
			ssh.KeyAlgoSKECDSA256,
		},
		ssh.KeyAlgoRSA: {ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512},
	}
	formats, known := allowed[key.Type()]
	if !known {
		return fault.New(fault.Unsupported, "signatures by keys of type %s do not count", key.Type())
	}
	if sig != nil && !slices.Contains(formats, sig.Format) {
		return fault.New(fault.Denied, "signature algorithm %.40q of a %s key does not count", sig.Format, key.Type())
	}
	if crypto, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < minRSA {
			return fault.New(fault.Denied, "RSA key of %d bits, at least %d", r.N.BitLen(), minRSA)
		}
	}
	return nil
}

// Verify proves that the signature's key signed message in our namespace; not whose key it is.
func (s Signature) Verify(message []byte) error {
	if s.Namespace != Namespace {
		return fault.New(fault.Denied, "signed for %.40q, not for %q", s.Namespace, Namespace)
	}
	signed, err := toSign(message, s.Hash)
	if err != nil {
		return err
	}
	if err := s.Key.Verify(signed, s.Sig); err != nil {
		return fault.New(fault.Denied, "signature by %s does not fit: %v", ssh.FingerprintSHA256(s.Key), err)
	}
	return nil
}

func toSign(message []byte, hashName string) ([]byte, error) {
	var digest []byte
	switch hashName {
	case "sha512":
		sum := sha512.Sum512(message)
		digest = sum[:]
	case "sha256":
		sum := sha256.Sum256(message)
		digest = sum[:]
	default:
		return nil, fault.New(fault.Denied, "hash %.40q does not count", hashName)
	}
	return append([]byte(magic), ssh.Marshal(signedBlob{Namespace: Namespace, Hash: hashName, Digest: digest})...), nil
}

// Sign signs the digest of a plan the way ssh-keygen -Y sign does. The signer may be a key file's (ssh.ParsePrivateKey)
// or one of an agent (agent.Signers).
func Sign(signer ssh.Signer, digest string) (string, error) {
	if err := acceptable(signer.PublicKey(), nil); err != nil {
		return "", err
	}
	signed, err := toSign(Message(digest), "sha512")
	if err != nil {
		return "", err
	}
	sig, err := sign(signer, signed)
	if err != nil {
		return "", fault.New(fault.Denied, "key %s did not sign: %v", ssh.FingerprintSHA256(signer.PublicKey()), err)
	}
	blob := append([]byte(magic), ssh.Marshal(sigBlob{
		Version: sigVersion, PublicKey: signer.PublicKey().Marshal(), Namespace: Namespace, Hash: "sha512", Signature: ssh.Marshal(*sig),
	})...)
	return armoured(blob), nil
}

func sign(signer ssh.Signer, data []byte) (*ssh.Signature, error) {
	if signer.PublicKey().Type() != ssh.KeyAlgoRSA {
		return signer.Sign(rand.Reader, data)
	}
	modern, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fault.New(fault.Unsupported, "this RSA key can only sign with SHA-1")
	}
	return modern.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
}

// armoured writes lines of 70 characters, as ssh-keygen does.
func armoured(blob []byte) string {
	text := base64.StdEncoding.EncodeToString(blob)
	var b strings.Builder
	b.WriteString("-----BEGIN " + armor + "-----\n")
	for len(text) > 0 {
		n := min(70, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString("-----END " + armor + "-----\n")
	return b.String()
}
