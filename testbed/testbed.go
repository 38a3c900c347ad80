// Package testbed boots real Debian hosts with systemd, sshd and a package repository of their own on this machine, for tests.
//
// It needs root and Debian's debootstrap and systemd-container; without them the test is left out loudly. One testbed at a time exists on a
// machine: a second test waits for its turn. All that it makes is named st-, and gone when the test ends.
package testbed

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"staunch/testbed/real"

	"golang.org/x/crypto/ssh"
)

// Host is one booted machine. Every user logs in with the same key: root, "op" (sudo without a password), "pass" (sudo with
// Password) and "plain" (no sudo).
type Host struct {
	Name       string
	Addr       string // IPv4, reachable from this machine and from the other hosts only
	Port       int    // of sshd: 22
	Key        string // path of the private key of every user
	KnownHosts string // path of a known_hosts file with the keys of all hosts of this testbed
	SSHConfig  string // path of an ssh configuration file with an entry for every host of this testbed

	bed     *bed
	hostKey ssh.PublicKey
	machine string // 32 hex digits

	mu     sync.Mutex
	client map[string]*ssh.Client
	guest  *guest
}

// Password is the password of the user "pass".
const Password = "Correct-Horse-7"

// Option changes what the hosts are made of.
type Option func(*bed)

// With installs more Debian packages into the image of all hosts; the image is kept for later runs. Their services start at boot.
func With(packages ...string) Option {
	return func(b *bed) { b.packages = append(b.packages, packages...) }
}

// Bare leaves out libtally and its programs.
func Bare() Option { return func(b *bed) { b.bare = true } }

// bed is what all hosts of one test share.
type bed struct {
	dir      string // of this run
	cache    string
	packages []string
	bare     bool
	modules  bool
	lower    []string // image directories, the topmost first
	signer   ssh.Signer
	public   string // authorized_keys line
	repo     string // URL of the package repository
}

// Up boots n hosts named st-1, st-2, ... and returns when all of them accept a login. They go when the test ends.
func Up(t testing.TB, n int, options ...Option) []*Host {
	t.Helper()
	real.Root(t)
	for _, program := range []string{"debootstrap", "systemd-nspawn", "ip", "dpkg-deb", "dpkg-scanpackages", "gcc", "chroot"} {
		real.Program(t, program)
	}
	real.Lock(t, "testbed")
	cache := filepath.Join(real.Cache(t), "hosts")
	b := &bed{dir: filepath.Join(cache, "run"), cache: cache}
	for _, option := range options {
		option(b)
	}
	sweep(t, b.dir)
	must(t, os.MkdirAll(b.dir, 0o700))
	t.Cleanup(func() { must(t, os.RemoveAll(b.dir)) })
	b.makeKey(t)
	raiseInotify(t, b.dir)
	bridge(t)
	b.images(t)
	b.serveRepo(t)
	hosts := make([]*Host, n)
	for i := range hosts {
		hosts[i] = b.newHost(t, i+1)
	}
	b.writeSSHFiles(t, hosts)
	bootAll(t, hosts)
	return hosts
}

func (b *bed) newHost(t testing.TB, i int) *Host {
	t.Helper()
	h := &Host{
		Name: fmt.Sprintf("st-%d", i), Addr: fmt.Sprintf("10.66.0.%d", 10+i), Port: 22,
		Key: filepath.Join(b.dir, "key"), KnownHosts: filepath.Join(b.dir, "known_hosts"), SSHConfig: filepath.Join(b.dir, "ssh_config"),
		bed: b, machine: fmt.Sprintf("%032x", 0x57a00000+i), client: map[string]*ssh.Client{},
	}
	h.plug(t)
	must(t, os.MkdirAll(h.dir(), 0o755))
	h.makeGroup(t)
	h.lay(t)
	return h
}

// bootAll starts all hosts and waits for them, ten at a time: more only fight for the processor.
func bootAll(t testing.TB, hosts []*Host) {
	t.Helper()
	slots := make(chan struct{}, 10)
	errs := make([]error, len(hosts))
	for _, h := range hosts {
		t.Cleanup(func() { h.powerOff(t) })
	}
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if errs[i] = h.boot(); errs[i] == nil {
				errs[i] = h.await()
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("test host %s: %v", hosts[i].Name, err)
		}
	}
}

func (b *bed) makeKey(t testing.TB) {
	t.Helper()
	signer, private := newKey(t)
	b.signer = signer
	b.public = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	must(t, os.WriteFile(filepath.Join(b.dir, "key"), private, 0o600))
	must(t, os.WriteFile(filepath.Join(b.dir, "key.pub"), []byte(b.public+"\n"), 0o644))
}

func newKey(t testing.TB) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(private, "staunch testbed")
	must(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	must(t, err)
	return signer, pemBytes(block)
}

// writeSSHFiles writes what a person's ~/.ssh would hold.
func (b *bed) writeSSHFiles(t testing.TB, hosts []*Host) {
	t.Helper()
	var known, config strings.Builder
	for _, h := range hosts {
		key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(h.hostKey)))
		fmt.Fprintf(&known, "%s,%s %s\n", h.Name, h.Addr, key)
		fmt.Fprintf(&config, "Host %s\n\tHostName %s\n\tUser root\n\tIdentityFile %s\n\tIdentitiesOnly yes\n\tUserKnownHostsFile %s\n\n", h.Name, h.Addr, h.Key, h.KnownHosts)
	}
	must(t, os.WriteFile(filepath.Join(b.dir, "known_hosts"), []byte(known.String()), 0o600))
	must(t, os.WriteFile(filepath.Join(b.dir, "ssh_config"), []byte(config.String()), 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
