package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"path"
	"strings"
)

// accountDirs are where ACME clients keep the keys of their accounts (each client's own manual): whoever has such a key orders and revokes.
func accountDirs() []string {
	return []string{
		"/etc/letsencrypt/accounts", "/root/.acme.sh", "/var/lib/caddy/.local/share/caddy/acme", "/etc/dehydrated/accounts", "/var/lib/dehydrated/accounts", "/etc/lego/accounts", "/root/.lego/accounts",
	}
}

// AccountOf tells whose ACME account key a file is by its path: certbot, acme.sh, caddy, dehydrated or lego; "" for any other file.
func AccountOf(file string) string {
	base := path.Base(file)
	switch {
	case strings.Contains(file, "/accounts/") && base == "private_key.json":
		return "certbot"
	case base == "account.key" && strings.Contains(file, "acme.sh"):
		return "acme.sh"
	case strings.Contains(file, "/acme/") && strings.Contains(file, "/users/") && path.Ext(base) == ".key":
		return "caddy"
	case base == "account_key.pem":
		return "dehydrated"
	case strings.Contains(file, "/accounts/") && strings.Contains(file, "/keys/") && path.Ext(base) == ".key":
		return "lego"
	}
	return ""
}

// jwk reads a private key as JSON (RFC 7517), which is how certbot keeps its account.
func (m *material) jwk(b []byte) bool {
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return false
	}
	var k struct{ Kty, Crv, N, E, X, Y, D string }
	if json.Unmarshal(b, &k) != nil || k.D == "" {
		return false
	}
	number := func(s string) *big.Int {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		if err != nil || len(raw) > 2048 {
			return new(big.Int)
		}
		return new(big.Int).SetBytes(raw)
	}
	var public any
	switch e := number(k.E); {
	case k.Kty == "RSA" && number(k.N).BitLen() >= 512 && e.IsInt64() && e.Int64() > 1 && e.Int64() < 1<<31:
		public = &rsa.PublicKey{N: number(k.N), E: int(e.Int64())}
	case k.Kty == "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
		if curve == nil {
			return false
		}
		p := point(curve, number(k.X), number(k.Y))
		if p == nil {
			return false
		}
		public = p
	default:
		return false
	}
	m.put(public, "jwk", true)
	return true
}

// point is the public key with these coordinates; nil if they are no point of the curve.
func point(curve elliptic.Curve, x, y *big.Int) *ecdsa.PublicKey {
	size := (curve.Params().BitSize + 7) / 8
	if x.BitLen() > 8*size || y.BitLen() > 8*size {
		return nil
	}
	raw := make([]byte, 1+2*size)
	raw[0] = 4 // uncompressed (SEC 1, 2.3.3)
	x.FillBytes(raw[1 : 1+size])
	y.FillBytes(raw[1+size:])
	p, err := ecdsa.ParseUncompressedPublicKey(curve, raw)
	if err != nil {
		return nil
	}
	return p
}
