package cli_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/see/probe"
	"staunch/testbed/pebble"
)

// rollout brings a shop to where its second plan is signed.
func (x *shop) rollout(more ...string) {
	x.t.Helper()
	x.settings("")
	x.must(0, "cert", "account", "pebble", "account.age")
	replace := []string{"cert", "replace", "shop.example", "--drill", "--urgency", "now", "--soak", "0s"}
	x.must(0, replace...)
	x.voted("1.1")
	x.must(0, "incident", "run", "1")
	x.must(0, append(append(replace, "--incident", "1"), more...)...)
	x.voted("1.2")
}

// ran carries the plan out; the CDN changes over when it is told to.
func (x *shop) ran() (out string, code int) {
	x.t.Helper()
	done := make(chan string, 1)
	go func() {
		var says, err string
		says, err, code = x.types("incident", "run", "1")
		done <- says + err
	}()
	x.waits("the CDN is told to switch over", done, func() bool { _, err := os.Stat(x.path("cdn-activate.json")); return err == nil })
	x.release()
	return <-done, code
}

func readAll(x *shop, name string) string {
	x.t.Helper()
	b, err := os.ReadFile(x.path(name))
	if err != nil {
		x.t.Fatal(err)
	}
	return string(b)
}

// serves is a TLS server of any configuration, beside those of the shop.
func serves(t *testing.T, address string, config *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(io.Discard, c) }()
		}
	}()
	return l.Addr().String()
}

// TestAnEndpointThatThePlanDoesNotKnow: after the plan was signed the inventory learns of a server that has the old key under a name of its own, and at an
// IPv6 address. The run holds and names it, nothing is revoked; when it serves another key, the step is tried again and revokes. The CA rejects nonces, sleeps, and
// wants every name proven anew.
func TestAnEndpointThatThePlanDoesNotKnow(t *testing.T) {
	x := newShop(t, pebble.Options{Misbehave: true, NoReuse: true})
	x.rollout()
	pair, err := tls.X509KeyPair([]byte(x.was), []byte(x.was))
	if err != nil {
		t.Fatal(err)
	}
	other, key := x.certified("legacy.example")
	fresh, err := tls.X509KeyPair([]byte(other), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	shows := &pair
	at := serves(t, "[::1]:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shows, nil }})
	x.write("staunch.yaml", readAll(x, "staunch.yaml")+"  legacy: {addresses: [\""+at+"\"]}\n")
	out, code := x.ran()
	has(t, "the run", out, "legacy@"+at+" still serves the key")
	if code == 0 || x.status() != "Valid" {
		t.Fatal("it was revoked while a server of the inventory had the old key")
	}
	x.refuses("legacy@"+at+" still serves the key", "cert", "revoke", cert.SPKI(x.old))
	shows = &fresh
	x.must(0, "incident", "retry", "1", "revoke-"+cert.SPKI(x.old)[:12], cert.SPKI(x.old))
	has(t, "tried again", x.must(0, "incident", "run", "1"), "plan 1.2: done")
	if x.status() != "Revoked" {
		t.Errorf("it is %s", x.status())
	}
}

// TestAnOverrideHoweverItIsSpelt: capitals, a closing dot and blanks name the same endpoint; a name alone, another port or another SNI name none.
func TestAnOverrideHoweverItIsSpelt(t *testing.T) {
	x := newShop(t, pebble.Options{})
	x.settings("")
	x.must(0, "cert", "account", "pebble", "account.age")
	replace := []string{"cert", "replace", "shop.example", "--drill", "--urgency", "now", "--soak", "0s"}
	x.must(0, replace...)
	x.voted("1.1")
	x.must(0, "incident", "run", "1")
	cdn := regexp.MustCompile(`cdn\.shop\.example@127\.0\.0\.3:\d+`).FindString(x.must(0, "cert", "list", "--graph"))
	name, address, _ := strings.Cut(cdn, "@")
	over := func(word string) []string {
		return append(replace, "--incident", "1", "--reason", "given up", "--override", word)
	}
	for _, word := range []string{name, name + "@", "@" + address, name + "@127.0.0.3:1", cdn + " (other.example)", "shop.example@" + address, "*@" + address, cdn + "," + name} {
		x.refuses("no endpoint of the key is called", over(word)...)
	}
	for _, word := range []string{strings.ToUpper(name) + "@" + address, name + ".@" + address, name + "@[::ffff:127.0.0.3]" + address[strings.LastIndex(address, ":"):]} {
		has(t, word, x.must(0, append(over(word), "--anyway")...), "does not wait for "+cdn+",")
	}
}

// TestAWatchSeesWhatHides: the old key for those who ask for no name, a chain without its middle, an address that does not answer, a name that leads nowhere.
func TestAWatchSeesWhatHides(t *testing.T) {
	x := newShop(t, pebble.Options{})
	x.rollout()
	if out, code := x.ran(); code != 0 {
		t.Fatal(out)
	}
	has(t, "a quiet watch", x.must(0, "cert", "watch", "--soon", "1h"), "0 alarms, 0 not seen")
	old, err := tls.X509KeyPair([]byte(x.was), []byte(x.was))
	if err != nil {
		t.Fatal(err)
	}
	served := []byte(readAll(x, "cdn.pem"))
	fresh, err := tls.X509KeyPair(served, served)
	if err != nil {
		t.Fatal(err)
	}
	before := readAll(x, "staunch.yaml")
	at := serves(t, "127.0.0.1:0", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "" {
			return &old, nil
		}
		return &fresh, nil
	}})
	x.write("staunch.yaml", before+"  third: {addresses: [\""+at+"\"], sni: cdn.shop.example}\n")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(5), DNSNames: x.old.DNSNames, NotBefore: x.old.NotBefore, NotAfter: x.old.NotAfter.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	both := serves(t, "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}, fresh}})
	x.write("staunch.yaml", before+"  fourth: {addresses: [\""+both+"\"], sni: cdn.shop.example}\n")
	list := x.must(0, "cert", "list")
	has(t, "both keys of one endpoint, with what each is certified for", list, "rsa-2048", "ecdsa-256")
	has(t, "the second key's certificate ends as well", x.must(1, "cert", "watch", "--soon", "100000h"), "ALARM fourth@"+both+" (cdn.shop.example): its certificate ends "+x.old.NotAfter.UTC().Format("2006-01-02 15:04Z"))

	x.write("staunch.yaml", before+"  third: {addresses: [\""+at+"\"], sni: cdn.shop.example}\n")
	has(t, "to nobody's name", x.must(1, "cert", "watch", "--soon", "1h"), "third@"+at, "serves the old key "+cert.SPKI(x.old)[:12]+" again to those who ask for no name", "1 alarm,")

	x.write("staunch.yaml", before+"  dead: {addresses: [\"127.0.0.1:1\"]}\n  nowhere: {addresses: [\"nowhere.invalid:443\"]}\n")
	has(t, "what is not seen", x.must(3, "cert", "watch", "--soon", "1h"), "not seen: dead@127.0.0.1:1: nothing listens there", "not seen: nowhere: ", "0 alarms, 2 not seen")

	x.write("staunch.yaml", before)
	text := readAll(x, "cdn.pem")
	block, _ := pem.Decode([]byte(text))
	x.write("cdn.pem", string(pem.EncodeToMemory(block))+text[strings.Index(text, "-----BEGIN PRIVATE"):])
	has(t, "a broken chain", x.must(1, "cert", "watch", "--soon", "1h"), "ALARM cdn.shop.example@127.0.0.3", "1 alarm,")
}

// TestOnePersonUnderTwoNames: a custodian stands in the list twice, with one key. Whatever is signed twice with it, the revocation has one vote.
func TestOnePersonUnderTwoNames(t *testing.T) {
	x := newShop(t, pebble.Options{})
	x.settings("")
	x.must(0, "cert", "account", "pebble", "account.age")
	replace := []string{"cert", "replace", "shop.example", "--drill", "--urgency", "now", "--soak", "0s"}
	x.must(0, replace...)
	x.voted("1.1")
	x.must(0, "incident", "run", "1")
	list := strings.SplitAfter(readAll(x, "allowed_signers"), "\n")
	x.write("allowed_signers", list[0]+"ben"+strings.TrimPrefix(list[0], "ada"))
	cdn := regexp.MustCompile(`cdn\.shop\.example@127\.0\.0\.3:\d+`).FindString(x.must(0, "cert", "list", "--graph"))
	has(t, "the plan", x.must(0, append(replace, "--incident", "1", "--override", cdn, "--reason", "given up")...), "will not be revoked by this plan: that takes the votes of two people")
	for range 2 {
		_, _, _ = x.types("approve", "1.2", "--key", x.path("ada.key")) // the second time it is no news
	}
	out, says, code := x.types("incident", "run", "1")
	if code == 0 || x.status() != "Valid" {
		t.Errorf("exit %d, and the certificate is %s: %s%s", code, x.status(), out, says)
	}
}

// TestWhoLooksFromAnotherPlace: a host that certs.yaml selects cannot be reached. A revocation by hand and the watch name it, and are not content.
func TestWhoLooksFromAnotherPlace(t *testing.T) {
	x := newShop(t, pebble.Options{})
	x.rollout()
	if out, code := x.ran(); code != 0 {
		t.Fatal(out)
	}
	x.write("certs.yaml", readAll(x, "certs.yaml")+"vantage: [web2]\n")
	has(t, "a quiet watch", x.must(0, "cert", "watch", "--soon", "1h"), "0 alarms, 0 not seen")
	x.sees = map[string]func() ([]probe.Result, error){"web2": func() ([]probe.Result, error) { return nil, fault.New(fault.Unreachable, "the line is cut") }}
	has(t, "the watch", x.must(3, "cert", "watch", "--soon", "1h"), "from web2: the line is cut")
	leaf, err := acme.Leaf([]byte(readAll(x, "cdn.pem")))
	if err != nil {
		t.Fatal(err)
	}
	x.refuses(" still serves the key (seen from ", "cert", "revoke", cert.SPKI(leaf))
	out, _, _ := x.types("cert", "revoke", cert.SPKI(leaf))
	has(t, "what stands against it", out, "against it: ", "seen from ")
	x.sees["web2"] = func() ([]probe.Result, error) { return []probe.Result{{Keys: []string{cert.SPKI(x.old)}}}, nil }
	has(t, "the watch", x.must(1, "cert", "watch", "--soon", "1h"), "ALARM shop.example@127.0.0.1", "serves the old key "+cert.SPKI(x.old)[:12]+" again", "seen from web2")
}
