package story_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/reach/act/vault"
	"staunch/testbed"
	"staunch/testbed/pebble"
	"staunch/testbed/real"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// keyring is what a team has for its certificates: CAs, custodians, and a CDN that takes its time.
type keyring struct {
	*team
	port int    // of the proofs for the CAs
	edge string // address of the CDN
	ann  *age.X25519Identity
}

// ca is an authority that the team has an account at.
type ca struct {
	acme.CA
	more string // in certs.yaml
}

// newKeyring names two custodians, of whom ann works tonight, and opens an account at each CA.
func newKeyring(x *team, port int, authorities ...ca) *keyring {
	x.Helper()
	k := &keyring{team: x, port: port}
	ann, err := age.GenerateX25519Identity()
	x.must(err)
	ben, err := age.GenerateX25519Identity()
	x.must(err)
	k.ann = ann
	x.write("identity", ann.String()+"\n")
	text := fmt.Sprintf("custodians: {ann: %s, ben: %s}\nauthorities:\n", ann.Recipient(), ben.Recipient())
	for _, a := range authorities {
		text += fmt.Sprintf("  - {name: %s, acme: %q, roots: %s.pem, accounts: [%s.age], solve: {http: \"127.0.0.1:%d\"}%s}\n", a.Name, a.Directory, a.Name, a.Name, port, a.more)
	}
	x.write("certs.yaml", text)
	for _, a := range authorities {
		x.says(0, "cert", "account", a.Name, a.Name+".age")
	}
	return k
}

// opened reads a key that is encrypted to the custodians.
func (k *keyring) opened(name string) crypto.Signer {
	k.Helper()
	sealed, err := os.ReadFile(k.path(name))
	k.must(err)
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(sealed)), k.ann)
	k.must(err)
	plain, err := io.ReadAll(r)
	k.must(err)
	key, err := vault.Parse(plain)
	k.must(err)
	return key
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// oldKey is a key of the time before, as PEM, with the certificates on it.
type oldKey struct {
	crypto.Signer
	spki, pem string
}

func newOldKey(t testing.TB, key crypto.Signer) *oldKey {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &oldKey{key, cert.SPKI(&x509.Certificate{RawSubjectPublicKeyInfo: public}), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
}

// certify has an account at a CA certify an old key for names, and returns the chain and the leaf.
func (k *keyring) certify(at ca, by crypto.Signer, key *oldKey, names ...string) (string, *x509.Certificate) {
	k.Helper()
	web, err := acme.ListenHTTP(fmt.Sprintf("127.0.0.1:%d", k.port))
	k.must(err)
	defer web.Close()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key.Signer)
	k.must(err)
	o, err := acme.NewOrder(csr, nil)
	k.must(err)
	client, err := acme.Connect(k.Context(), acme.Client{CA: at.CA, Account: acme.Account{Key: by}, Solvers: map[string]acme.Solver{"http-01": web}, Poll: 50 * time.Millisecond})
	k.must(err)
	_, err = client.Register(k.Context())
	k.must(err)
	o, err = client.Run(k.Context(), o, func(acme.Order) error { return nil })
	k.must(err)
	leaf, err := acme.Leaf([]byte(o.Chain))
	k.must(err)
	return o.Chain, leaf
}

// atPebble starts pebble for a team, where the hosts reach it as well; its roots lie where certs.yaml looks for them.
func atPebble(x *team, port int, more string) (ca, *pebble.Server) {
	x.Helper()
	p := pebble.Up(x.T, pebble.Options{HTTPPort: port, RetryAfter: 1, Address: testbed.Gateway})
	x.write("pebble.pem", string(p.RootsPEM()))
	return ca{acme.CA{Name: "pebble", Directory: p.Directory, Roots: p.Roots}, more}, p
}

// cdnHook takes new material at once, says that it serves it, and does so only when a file "go" appears: edges take their time.
const cdnHook = `#!/usr/bin/python3
import json, os, subprocess, sys
here = os.path.dirname(os.path.abspath(sys.argv[0]))
given = json.load(sys.stdin)
if sys.argv[1] == "stage":
    with open(os.open(here + "/staged.pem", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(given["chain"] + given["key"])
    print(json.dumps({"id": given["name"]}))
elif sys.argv[1] == "activate":
    late = "while [ ! -e go ]; do sleep 0.1; done; mv staged.pem live.pem; kill -HUP $(cat nginx.pid)"
    subprocess.Popen(["/bin/sh", "-c", late], cwd=here, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    open(here + "/activated", "w").close()
`

// cdn is an nginx of our own on this machine that stands for an edge network.
func (k *keyring) cdn(bundle string) {
	k.Helper()
	nginx := real.Program(k, "nginx")
	k.must(os.Mkdir(k.path("cdn"), 0o755))
	k.edge = fmt.Sprintf("%s:%d", testbed.Gateway, freePort(k.T))
	k.write("cdn/first.pem", bundle)
	k.write("cdn/live.pem", bundle)
	k.write("cdn/hook", cdnHook)
	k.must(os.Chmod(k.path("cdn/hook"), 0o755))
	k.write("cdn/nginx.conf", fmt.Sprintf("pid nginx.pid;\nerror_log error.log;\nworker_processes 1;\nevents {}\nhttp { access_log off;\nserver { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; return 200 \"edge\\n\"; } }\n",
		k.edge, k.path("cdn/live.pem"), k.path("cdn/live.pem")))
	cmd := exec.Command(nginx, "-p", k.path("cdn")+"/", "-c", k.path("cdn/nginx.conf"), "-e", k.path("cdn/error.log"), "-g", "daemon off;")
	k.must(cmd.Start())
	k.Cleanup(func() {
		k.write("cdn/go", "")
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	certs, err := os.ReadFile(k.path("certs.yaml"))
	k.must(err)
	k.write("certs.yaml", string(certs)+fmt.Sprintf("edges:\n  cdn: {driver: hook, program: %q, courier: %s}\n", k.path("cdn/hook"), k.ann.Recipient()))
}

// runs carries the newest plan of incident 1 out, in the background.
func (k *keyring) runs() *running {
	k.Helper()
	r := &running{Cmd: k.command("incident", "run", "1")}
	r.Stdout, r.Stderr = &r.out, &r.out
	k.must(r.Start())
	k.Cleanup(func() { _ = r.Process.Kill() }) // ended long ago, unless the test failed
	return r
}

// running is a runner in the background.
type running struct {
	*exec.Cmd
	out bytes.Buffer
}

// ended waits for it.
func (r *running) ended() (string, int) {
	err := r.Wait()
	return r.out.String(), exitOf(err)
}

// until waits until something is so.
func (k *keyring) until(what string, is func() bool) {
	k.Helper()
	for end := time.Now().Add(90 * time.Second); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			k.Fatalf("it never came about that %s", what)
		}
	}
}

// serves holds one address to the key that it serves right now.
func (k *keyring) serves(address, name, spki string) {
	k.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	k.must(err)
	defer conn.Close()
	if got := cert.SPKI(conn.ConnectionState().PeerCertificates[0]); got != spki {
		k.Errorf("%s serves key %s, want %s", address, got, spki)
	}
}

// step finds a plan's step by the beginning of its id and the host that it is about.
func (k *keyring) step(plan, kind, host string) string {
	k.Helper()
	text := k.says(0, "plan", "show", plan)
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, kind+"-") && strings.HasSuffix(word, "-"+host) {
			return word
		}
	}
	k.Fatalf("plan %s has no step %s for %s:\n%s", plan, kind, host, text)
	return ""
}

// signed approves the newest plan with two people's votes.
func (k *keyring) signed(plan string) {
	k.Helper()
	for _, who := range []string{"ada", "ben"} {
		k.says(0, "approve", plan, "--key", k.path(who+".key"))
	}
}
