package ssh

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"staunch/fault"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// known reads known_hosts files once for many hosts.
type known struct {
	mu    sync.Mutex
	files map[string]ssh.HostKeyCallback
}

// callback checks keys against these files; a file that does not exist holds no keys.
func (k *known) callback(files []string) (ssh.HostKeyCallback, error) {
	var there []string
	for _, f := range files {
		if _, err := os.Stat(f); err == nil {
			there = append(there, f)
		}
	}
	key := strings.Join(there, "\x00")
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok := k.files[key]; ok {
		return c, nil
	}
	c, err := knownhosts.New(there...)
	if err != nil {
		return nil, fault.New(fault.Corrupt, "known_hosts: %v", err).Hinted("put the line right, or take it out")
	}
	if k.files == nil {
		k.files = map[string]ssh.HostKeyCallback{}
	}
	k.files[key] = c
	return c, nil
}

// hostKeys returns the check for one target and the key types that known_hosts has for it: asking for another type would look like a change.
func (k *known) hostKeys(t target) (ssh.HostKeyCallback, []string, error) {
	check, err := k.callback(t.known)
	if err != nil {
		return nil, nil, err
	}
	address := t.address()
	if t.alias != "" {
		address = net.JoinHostPort(t.alias, "22")
	}
	verify := func(_ string, remote net.Addr, key ssh.PublicKey) error {
		// by name or alias only: an address that was reused by another machine is no proof
		return judge(t, key, check(address, &net.TCPAddr{}, key))
	}
	return verify, algorithms(check(address, &net.TCPAddr{}, nobody{})), nil
}

// judge turns a refusal into words that name file and line.
func judge(t target, key ssh.PublicKey, err error) error {
	var refused *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	print := ssh.FingerprintSHA256(key)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return fault.New(fault.Denied, "%s shows a host key (%s) that %s:%d marks as revoked", t.name, print, revoked.Revoked.Filename, revoked.Revoked.Line)
	case errors.As(err, &refused) && len(refused.Want) > 0:
		var where []string
		for _, w := range refused.Want {
			where = append(where, fmt.Sprintf("%s:%d", w.Filename, w.Line))
		}
		return fault.New(fault.Denied, "%s shows another host key than the known one: %s %s; known by %s", t.name, key.Type(), print, strings.Join(where, ", ")).
			Hinted("somebody may be in between. If the host was set up anew, compare the key on its console, then: ssh-keygen -R %s", t.lookup())
	case errors.As(err, &refused):
		says := "its host key is not known"
		if t.strictOff {
			says += " (StrictHostKeyChecking no is not followed here)"
		}
		return fault.New(fault.Denied, "%s: %s: %s %s", t.name, says, key.Type(), print).
			Hinted("compare it with the host's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then: ssh-keyscan -p %d %s >> %s", t.port, t.host, t.known[0])
	}
	return fault.New(fault.Denied, "%s: its host key is refused: %v", t.name, err)
}

// lookup is how known_hosts calls the target.
func (t target) lookup() string {
	if t.alias != "" {
		return t.alias
	}
	if t.port == 22 {
		return t.host
	}
	return fmt.Sprintf("'[%s]:%d'", t.host, t.port)
}

// algorithms lists the signature algorithms of the known keys; nil when none are known.
func algorithms(err error) []string {
	var refused *knownhosts.KeyError
	if !errors.As(err, &refused) {
		return nil
	}
	var list []string
	for _, w := range refused.Want {
		switch kind := w.Key.Type(); kind {
		case ssh.KeyAlgoRSA:
			list = append(list, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			list = append(list, kind)
		}
	}
	// what costs a host least comes first, as with OpenSSH
	rank := []string{ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}
	place := func(a string) int {
		if i := slices.Index(rank, a); i >= 0 {
			return i
		}
		return len(rank)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	return slices.Compact(list)
}

// nobody is a key that no file knows.
type nobody struct{}

func (nobody) Type() string                        { return "nobody" }
func (nobody) Marshal() []byte                     { return []byte("nobody") }
func (nobody) Verify([]byte, *ssh.Signature) error { return errors.New("nobody signs nothing") }
