package cli_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"staunch/cli"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/reach/act/bounds"
	"staunch/reach/act/carry"
	"staunch/reach/fleet"
	"staunch/reach/fleet/borrow"
	"staunch/reach/here"
	"staunch/reach/host"
	"staunch/see/keys"
	"staunch/see/probe"
	"staunch/testbed/pebble"
	"staunch/testbed/real"

	"filippo.io/age"
)

// shop is a team with hosts whose files lie in a directory, TLS servers that read them at every handshake, a CDN that is late, and a CA.
type shop struct {
	operator
	ca    *pebble.Server
	proof int // the port at which the CA looks for proofs
	hosts map[string]*here.Machine
	sees  map[string]func() ([]probe.Result, error) // hosts that meet something else than there is
	old   *x509.Certificate
	was   string // the old chain and key, as a host back from the dead has them
}

// newShop has web1 and web2 behind shop.example, and a CDN behind cdn.shop.example, all on one key.
func newShop(t *testing.T, o pebble.Options) *shop {
	t.Helper()
	real.Slow(t)
	x := &shop{operator: operator{person: newPerson(t)}, hosts: map[string]*here.Machine{}, proof: port(t)}
	o.HTTPPort = x.proof
	x.ca = pebble.Up(t, o)
	x.write("pebble.pem", string(x.ca.RootsPEM()))
	x.write("issuers.pem", string(x.ca.IssuersPEM))
	chain, key := x.certified("shop.example", "cdn.shop.example")
	x.was = chain + key
	leaf, err := acme.Leaf([]byte(chain))
	if err != nil {
		t.Fatal(err)
	}
	x.old = leaf
	f := &fleet.Fleet{Rings: []fleet.Ring{{Name: "canary", Quorum: 1}, {Name: "production", Quorum: 2}}}
	var webs []string
	for i, name := range []string{"web1", "web2"} {
		f.Hosts = append(f.Hosts, fleet.Host{Name: name, Address: fmt.Sprintf("127.0.0.%d", i+1), Ring: f.Rings[i].Name})
		x.newHost(name)
		x.write(name+"/tls/shop.pem", chain+key)
		webs = append(webs, x.listen(fmt.Sprintf("127.0.0.%d", i+1), x.path(name+"/tls/shop.pem")))
	}
	x.write("cdn.pem", chain+key)
	text, err := borrow.Write(f)
	if err != nil {
		t.Fatal(err)
	}
	x.write("staunch.yaml", string(text)+fmt.Sprintf("endpoints:\n  shop.example: {addresses: [%q, %q]}\n  cdn.shop.example: {addresses: [%q], behind: cdn}\n", webs[0], webs[1], x.listen("127.0.0.3", x.path("cdn.pem"))))
	return x
}

func port(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// write also makes the directory.
func (x *shop) write(name, text string) {
	x.t.Helper()
	if err := os.MkdirAll(filepath.Dir(x.path(name)), 0o755); err != nil {
		x.t.Fatal(err)
	}
	x.operator.write(name, text)
}

// certified makes a key and has the CA certify it; both as PEM.
func (x *shop) certified(names ...string) (chain, key string) {
	x.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		x.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, private)
	if err != nil {
		x.t.Fatal(err)
	}
	web, err := acme.ListenHTTP(fmt.Sprintf("127.0.0.1:%d", x.proof))
	if err != nil {
		x.t.Fatal(err)
	}
	defer web.Close()
	account, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		x.t.Fatal(err)
	}
	c, err := acme.Connect(x.t.Context(), acme.Client{
		CA: acme.CA{Name: "pebble", Directory: x.ca.Directory, Roots: x.ca.Roots}, Account: acme.Account{Key: account}, Solvers: map[string]acme.Solver{"http-01": web}, Poll: 20 * time.Millisecond,
	})
	if err == nil {
		_, err = c.Register(x.t.Context())
	}
	if err != nil {
		x.t.Fatal(err)
	}
	order, err := acme.NewOrder(csr, nil)
	if err == nil {
		order, err = c.Run(x.t.Context(), order, func(acme.Order) error { return nil })
	}
	if err != nil {
		x.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		x.t.Fatal(err)
	}
	return order.Chain, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// newHost is a real host part in a directory; its keys are those below it.
func (x *shop) newHost(name string) {
	dir, proc := x.path(name), x.t.TempDir()
	x.hosts[name] = &here.Machine{
		Called: name,
		Keys: func(ctx context.Context, _ json.RawMessage, _ func(host.Progress)) (json.RawMessage, error) {
			found, err := keys.Look(ctx, keys.Question{Paths: []string{filepath.Join(dir, "tls")}}, keys.Env{Proc: proc, Host: name})
			if err != nil {
				return nil, err
			}
			return json.Marshal(found)
		},
		Engine: &carry.Engine{Local: true, Places: bounds.Places{
			Root: dir, Policy: filepath.Join(dir, "etc", "policy.json"), Signers: filepath.Join(dir, "etc", "allowed_signers"), Hooks: filepath.Join(dir, "etc", "hooks"),
			State: filepath.Join(dir, "state"), Payloads: filepath.Join(dir, "state", "payloads"), Owner: uint32(os.Getuid()),
		}},
	}
}

// unclosed lets one host part serve many commands.
type unclosed struct {
	*here.Machine
	sees func() ([]probe.Result, error) // what it meets when it looks at an endpoint; nil: what there is
}

func (unclosed) Close() error { return nil }

// Look may be another place's.
func (u unclosed) Look(ctx context.Context, q host.Question, p func(host.Progress)) (host.Answer, error) {
	if u.sees == nil || q.Probe == nil {
		return u.Machine.Look(ctx, q, p)
	}
	met, err := u.sees()
	if err != nil {
		return host.Answer{}, err
	}
	b, err := json.Marshal(met)
	return host.Answer{Probe: b}, err
}

// listen serves what a file holds at the moment of each handshake.
func (x *shop) listen(ip, file string) string {
	x.t.Helper()
	l, err := tls.Listen("tcp", ip+":0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(file, file)
		return &c, err
	}})
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c) // the handshake happens here
			}()
		}
	}()
	return l.Addr().String()
}

// types runs a command line of this team.
func (x *shop) types(args ...string) (out, err string, code int) {
	x.t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(x.t.Context(), 20*time.Second) // a run whose gate holds waits a day
	defer cancel()
	if !slices.Contains([]string{"ledger", "timeline"}, args[0]) {
		args = append(args, "--config", x.path("staunch.yaml"))
	}
	if args[0] == "cert" || args[0] == "incident" && args[1] == "run" {
		args = append(args, "--identity", x.path("ada.age"), "--certs", x.path("certs.yaml"))
	}
	code = cli.Run(ctx, cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Version: "test",
		Getenv: func(name string) string {
			if name == "XDG_DATA_HOME" {
				return x.dir
			}
			return ""
		},
		Reach: func(_ context.Context, h fleet.Host) (host.Host, error) {
			return unclosed{x.hosts[h.Name], x.sees[h.Name]}, nil
		},
	})
	return stdout.String(), stderr.String(), code
}

func (x *shop) must(code int, args ...string) string {
	x.t.Helper()
	out, err, got := x.types(args...)
	if got != code {
		x.t.Fatalf("staunch %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, err)
	}
	return out
}

func (x *shop) refuses(want string, args ...string) {
	x.t.Helper()
	out, err, code := x.types(args...)
	if code != 2 || !strings.Contains(err, want) {
		x.t.Errorf("staunch %s: exit %d, want a refusal with %q\n%s%s", strings.Join(args, " "), code, want, out, err)
	}
}

// custodian makes a person's age identity and returns its recipient.
func (x *shop) custodian(name string) string {
	x.t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		x.t.Fatal(err)
	}
	x.write(name+".age", id.String()+"\n")
	return id.Recipient().String()
}

// settings writes certs.yaml with two custodians and the drill's CA, and registers an account there.
func (x *shop) settings(more string) {
	x.t.Helper()
	ada := x.custodian("ada")
	x.write("own.age", x.sealed(ada, x.was[strings.Index(x.was, "-----BEGIN PRIVATE"):]))
	x.write("certs.yaml", fmt.Sprintf(`custodians: {ada: %s, ben: %s}
trust: [issuers.pem]
authorities:
  - {name: pebble, acme: %q, roots: pebble.pem, accounts: [account.age], solve: {http: "127.0.0.1:%d"}, limits: letsencrypt, drill: true}
own_keys: [own.age]
edges:
  cdn: {driver: hook, program: %q, courier: %s}
%s`, ada, x.custodian("ben"), x.ca.Directory, x.proof, x.path("cdn.sh"), ada, more))
	x.write("cdn.sh", "#!/bin/sh\ncat >"+x.path("cdn-")+"$1.json\n[ $1 = stage ] && echo '{\"id\":\"new\"}'\nexit 0\n")
	if err := os.Chmod(x.path("cdn.sh"), 0o700); err != nil {
		x.t.Fatal(err)
	}
}

// sealed encrypts to a recipient, as a custodian does by hand.
func (x *shop) sealed(to, text string) string {
	x.t.Helper()
	r, err := age.ParseX25519Recipient(to)
	if err != nil {
		x.t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, r)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return b.String()
}

// the CDN's edges change over at last.
func (x *shop) release() {
	x.t.Helper()
	var staged struct{ Chain, Key string }
	b, err := os.ReadFile(x.path("cdn-stage.json"))
	if err == nil {
		err = json.Unmarshal(b, &staged)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.write("cdn.pem", staged.Chain+"\n"+staged.Key)
}

func (x *shop) status() string {
	x.t.Helper()
	status, _ := x.ca.Status(x.t, x.old.SerialNumber.Text(16))
	return status
}

// waits until something is there.
func (x *shop) waits(what string, ended <-chan string, is func() bool) {
	x.t.Helper()
	for end := time.Now().Add(60 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		select {
		case out := <-ended:
			x.t.Fatalf("%s did not come: the run ended: %s", what, out)
		default:
		}
		if time.Now().After(end) {
			x.t.Fatalf("it does not come: %s", what)
		}
	}
}

// TestADrillFromTheCommandLine is the whole replacement by hand: list, drill, votes, new keys, rollout, the late CDN, the refusal of a
// revocation by hand, the revocation, the retired edge, what the drill measured, and the watch afterwards.
func TestADrillFromTheCommandLine(t *testing.T) {
	x := newShop(t, pebble.Options{})
	x.settings("vantage: [web1]\n")
	spki := cert.SPKI(x.old)
	has(t, "the account", x.must(0, "cert", "account", "pebble", "account.age"), "encrypted to ada, ben")
	if b, err := os.ReadFile(x.path("account.age")); err != nil || bytes.Contains(b, []byte("PRIVATE")) {
		t.Errorf("the account lies in plain: %v", err)
	}
	has(t, "list", x.must(0, "cert", "list"), spki[:12], "shop.example")
	has(t, "graph", x.must(0, "cert", "list", "--graph"), "PRIVATE KEY web1:", "served at shop.example@127.0.0.1", "held by cdn")

	ada, ben := x.keyOf("ada", true), x.keyOf("ben", true)
	replace := func(more ...string) []string {
		return append([]string{"cert", "replace", "shop.example", "--drill", "--urgency", "now", "--soak", "0s"}, more...)
	}
	has(t, "the first plan", x.must(0, replace()...), "plan 1.1", "drill: new keys", "budget", "pebble account.age: 1 order\n    1: which account ordered the certificate that it replaces is not known here")
	x.refuses("1 more", "incident", "run", "1")
	x.must(0, "approve", "1.1", "--key", ada)
	x.must(0, "approve", "1.1", "--key", ben)
	has(t, "new keys", x.must(0, "incident", "run", "1"), "proven key-", "proven order-", "plan 1.1: done")
	if x.status() != "Valid" {
		t.Fatal("the first plan touched the old certificate")
	}
	x.refuses("no endpoint of the key is called", replace("--incident", "1", "--override", "nowhere@192.0.2.1:443", "--reason", "it burnt down")...)
	x.refuses("says why", replace("--incident", "1", "--override", "nowhere@192.0.2.1:443")...)
	has(t, "the rollout", x.must(0, replace("--incident", "1")...), "plan 1.2", "retire", "elsewhere (endpoints are looked at from the machine that carries the plan out, web1")
	x.must(0, "approve", "1.2", "--key", ada)
	x.must(0, "approve", "1.2", "--key", ben)
	done := make(chan string, 1)
	go func() {
		out, err, code := x.types("incident", "run", "1")
		done <- fmt.Sprintf("exit %d\n%s%s", code, out, err)
	}()
	x.waits("the CDN is told to switch over", done, func() bool { _, err := os.Stat(x.path("cdn-activate.json")); return err == nil })
	x.refuses("cdn.shop.example@127.0.0.3", "cert", "revoke", spki)
	if x.status() != "Valid" {
		t.Fatal("it was revoked while the CDN served the old key")
	}
	x.release()
	has(t, "the run", <-done, "exit 0", "plan 1.2: done", "browsers may still accept them until", "proven retire-cdn")
	if x.status() != "Revoked" {
		t.Errorf("the old certificate is %s", x.status())
	}
	if _, err := os.Stat(x.path("cdn-retire.json")); err != nil {
		t.Errorf("the CDN was not told to take the old certificate away: %v", err)
	}
	has(t, "the report", x.must(0, "incident", "report", "1"), "accepted by the CA")
	has(t, "the drill's measure", x.must(0, "cert", "drill", "1.1", "1.2"), "from the first step to the last proof", "would have broken: cdn.shop.example@127.0.0.3")
	has(t, "verify", x.must(3, "cert", "verify", spki[:12]), "unverifiable", "the CA accepted the request at ", "has 24 hours from then", "browsers may still accept it until "+x.old.NotAfter.UTC().Format(time.DateOnly))
	x.watches(spki)
	b, err := os.ReadFile(x.path("cdn.pem"))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := acme.Leaf(b)
	if err != nil {
		t.Fatal(err)
	}
	has(t, "a replacement of what we ordered", x.must(0, "cert", "replace", cert.SPKI(leaf), "--drill", "--urgency", "now"), "pebble account.age: 1 order, 1 of them free of limits\n    1: it replaces a certificate of the same account")
}

// watches is the time after: nothing to say, then a CA with a wish, then a host that comes back with the old key, then a forgotten certificate.
func (x *shop) watches(spki string) {
	t := x.t
	has(t, "a quiet watch", x.must(0, "cert", "watch", "--soon", "1h"), "3 addresses looked at, 0 alarms, 0 not seen; 1 old key watched for")
	b, err := os.ReadFile(x.path("cdn.pem"))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := acme.Leaf(b)
	if err != nil {
		t.Fatal(err)
	}
	x.ca.Want(t, leaf, `{"suggestedWindow":{"start":"2020-01-01T00:00:00Z","end":"2020-01-02T00:00:00Z"},"explanationURL":"https://ca.example/why"}`)
	has(t, "a CA with a wish", x.must(1, "cert", "watch", "--soon", "1h"), "pebble wants its certificate replaced since 2020-01-01 00:00Z", "https://ca.example/why")

	x.forgotten(spki)
	x.write("web1/tls/shop.pem", x.was)
	has(t, "a host back from the dead", x.must(1, "cert", "watch", "--hosts"), "shop.example@127.0.0.1", "serves the old key "+spki[:12]+" again", "tls/shop.pem: the old key "+spki[:12]+" lies there")
	has(t, "soon", x.must(1, "cert", "watch", "--soon", "100000h"), "its certificate ends")

	x.must(0, "cert", "account", "pebble", "account.age", "--rollover")
	x.refuses("exists", "cert", "account", "pebble", "account.age")
}

// forgotten: somebody had the old key certified once more, and only a log knows. Certificates that the plan revoked are no news, and a log
// that cannot be read hides no alarm.
func (x *shop) forgotten(spki string) {
	x.t.Helper()
	block, _ := pem.Decode([]byte(x.was[strings.Index(x.was, "-----BEGIN PRIVATE"):]))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		x.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"forgotten.example"}}, key)
	if err != nil {
		x.t.Fatal(err)
	}
	x.write("known.pem", x.was)
	says := x.must(1, "cert", "watch", "--soon", "1h", "--log", x.path("known.pem")) // the CA still has its wish
	if strings.Contains(says, "no plan of ours knew it") {
		x.t.Errorf("a certificate that was revoked is news: %s", says)
	}
	x.write("log.pem", newOffice(x.t).signs(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))))
	has(x.t, "a log with the old key", x.must(1, "cert", "watch", "--soon", "1h", "--log", x.path("log.pem")+","+x.path("no.pem")),
		"log.pem: a certificate (", "by CN=Office CA) of the old key "+spki[:12], "no plan of ours knew it", "not seen: log "+x.path("no.pem"), "wants its certificate replaced")
}
