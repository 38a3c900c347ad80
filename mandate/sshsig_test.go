package mandate_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/testbed/real"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keyTypes are the kinds of keys that people have.
var keyTypes = map[string][]string{
	"ed25519": {"-t", "ed25519"}, "rsa": {"-t", "rsa", "-b", "2048"},
	"ecdsa256": {"-t", "ecdsa", "-b", "256"}, "ecdsa384": {"-t", "ecdsa", "-b", "384"}, "ecdsa521": {"-t", "ecdsa", "-b", "521"},
}

func keygen(t *testing.T, args ...string) string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "id")
	if out, err := exec.Command(real.Program(t, "ssh-keygen"), append(args, "-q", "-N", "", "-f", key)...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	return key
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// signByHand is what a person types who has no staunch at hand.
func signByHand(t *testing.T, key, digest string, args ...string) string {
	t.Helper()
	if len(args) == 0 {
		args = []string{"-n", mandate.Namespace}
	}
	cmd := exec.Command(real.Program(t, "ssh-keygen"), append([]string{"-q", "-Y", "sign", "-f", key}, args...)...)
	cmd.Stdin = strings.NewReader(digest + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ssh-keygen -Y sign: %v", err)
	}
	return string(out)
}

func TestSshKeygenSignsAndWeVerify(t *testing.T) {
	h, leaves := planOf(t, 3)
	digest, err := h.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range keyTypes {
		t.Run(name, func(t *testing.T) {
			key := keygen(t, args...)
			demand := mandate.Demand{Signers: signersOf(t, "alice "+read(t, key+".pub")), Now: now, Hosts: []string{"web2"}}
			sig := signByHand(t, key, digest)
			if grant, err := order(t, h, leaves, 1, []string{sig}).Check(demand); err != nil || grant.People[0] != "alice" {
				t.Errorf("%+v, %v", grant, err)
			}
			sha256 := signByHand(t, key, digest, "-n", mandate.Namespace, "-O", "hashalg=sha256")
			if _, err := order(t, h, leaves, 1, []string{sha256}).Check(demand); err != nil {
				t.Error(err)
			}
			forGit := signByHand(t, key, digest, "-n", "git")
			if _, err := order(t, h, leaves, 1, []string{forGit}).Check(demand); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), `signed for "git"`) {
				t.Errorf("a signature for git counted: %v", err)
			}
		})
	}
}

func TestWeSignAndSshKeygenVerifies(t *testing.T) {
	h, _ := planOf(t, 1)
	digest, err := h.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range keyTypes {
		t.Run(name, func(t *testing.T) {
			key := keygen(t, args...)
			signer, err := ssh.ParsePrivateKey([]byte(read(t, key)))
			if err != nil {
				t.Fatal(err)
			}
			sig, err := mandate.Sign(signer, digest)
			if err != nil {
				t.Fatal(err)
			}
			verifyByHand(t, key, digest, sig)
		})
	}
}

func verifyByHand(t *testing.T, key, digest, sig string) {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{"signers": "alice " + read(t, key+".pub"), "sig": sig} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(real.Program(t, "ssh-keygen"), "-Y", "verify", "-f", "signers", "-I", "alice", "-n", mandate.Namespace, "-s", "sig")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(digest+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("ssh-keygen -Y verify: %v: %s", err, out)
	}
}

func TestAnAgentSigns(t *testing.T) {
	h, _ := planOf(t, 1)
	digest, err := h.Digest()
	if err != nil {
		t.Fatal(err)
	}
	key := keygen(t, keyTypes["rsa"]...)
	private, err := ssh.ParseRawPrivateKey([]byte(read(t, key)))
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	signers, err := ring.Signers()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := mandate.Sign(signers[0], digest)
	if err != nil {
		t.Fatal(err)
	}
	verifyByHand(t, key, digest, sig)
}

func TestWeakKeysAndCertificatesDoNotCount(t *testing.T) {
	weak := keygen(t, "-t", "rsa", "-b", "1024")
	if _, err := mandate.ParseSigners([]byte("alice "+read(t, weak+".pub")), time.UTC); !fault.Is(err, fault.Denied) {
		t.Errorf("a 1024-bit key is allowed: %v", err)
	}
	h, _ := planOf(t, 1)
	digest, err := h.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mandate.ParseSignature(signByHand(t, weak, digest)); !fault.Is(err, fault.Denied) {
		t.Errorf("a 1024-bit signature parses: %v", err)
	}
	ca, key := keygen(t, keyTypes["ed25519"]...), keygen(t, keyTypes["ed25519"]...)
	if out, err := exec.Command(real.Program(t, "ssh-keygen"), "-q", "-s", ca, "-I", "alice", "-n", "alice", key+".pub").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := mandate.ParseSigners([]byte("alice "+read(t, key+"-cert.pub")), time.UTC); !fault.Is(err, fault.Unsupported) {
		t.Errorf("a certificate is allowed: %v", err)
	}
}

func FuzzParseSignature(f *testing.F) {
	h, _ := planOf(f, 1)
	good := signed(f, h, newVoter(f, "alice"))[0]
	f.Add(good)
	f.Add(strings.Replace(good, "A", "B", 1))
	f.Add("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		sig, err := mandate.ParseSignature(text)
		if err == nil && sig.Verify([]byte("a message that nobody signed\n")) == nil {
			t.Fatal("a forged signature fits")
		}
	})
}

func FuzzParseSigners(f *testing.F) {
	v := newVoter(f, "alice,alice@example.org")
	f.Add(v.line(`namespaces="a,b",valid-after="20140408Z"`))
	f.Add("# x\n\n" + v.line(`cert-authority`))
	f.Add(`"a b,c" namespaces="` + v.line(""))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := mandate.ParseSigners([]byte(text), time.UTC)
		if err == nil && s.People(now) > strings.Count(text, "\n")+1 {
			t.Fatal("more people than lines")
		}
	})
}

func FuzzParse(f *testing.F) {
	h, leaves := planOf(f, 3)
	raw, err := mandate.Make(h, leaves, 1, signed(f, h, newVoter(f, "alice")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(raw))
	f.Add([]byte(`{"header":{},"leaf":{},"path":["00"],"signatures":[""]}`))
	signers := signersOf(f, newVoter(f, "bob").line(""))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := mandate.Parse(b)
		if err != nil {
			return
		}
		if grant, err := m.Check(mandate.Demand{Signers: signers, Now: now, Hosts: []string{"web2", m.Leaf.Host}}); err == nil {
			t.Fatalf("a stranger's mandate was granted: %+v", grant)
		}
	})
}
