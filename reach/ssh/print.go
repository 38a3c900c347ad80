package ssh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"strings"
	"sync"

	"staunch/fault"
	"staunch/reach/fleet"
)

// Print names everything that a login to one host comes from: what the configuration says, the content of every file with host keys on the
// way, the state of the keys to log in with, and the host part. Two logins with the same Print have been checked against the same
// host keys and have the same rights.
//
// Unsupported means that a login to this host cannot be named so: it is made anew each time. That is so for what the machine's own ssh
// does, for a configuration that depends on commands or the environment, and where a person types a password.
func (d *Dialer) Print(ctx context.Context, h fleet.Host) (string, error) {
	if why := h.NotCovered(); why != "" || h.Via == fleet.ViaSystem || d.Password != nil {
		return "", fault.New(fault.Unsupported, "%s is always reached anew", h.Name)
	}
	config := d.config().Sum()
	if config == "" {
		return "", fault.New(fault.Unsupported, "the ssh configuration does not depend on its files alone")
	}
	parts, err := d.Parts.State()
	if err != nil {
		return "", fault.New(fault.Unsupported, "no host part: %v", err)
	}
	whole := sha256.New()
	fmt.Fprintf(whole, "1 %q %q %q\n", config, parts, d.Sudo)
	if err := d.printTarget(ctx, whole, h, "", 0); err != nil {
		return "", err
	}
	return hex.EncodeToString(whole.Sum(nil)), nil
}

// printTarget writes where and how one host is reached, and all jump hosts before it.
func (d *Dialer) printTarget(ctx context.Context, whole hash.Hash, h fleet.Host, jump string, depth int) error {
	t, err := d.resolve(ctx, h)
	if err != nil {
		return err
	}
	if jump != "" {
		t.jump = jump
	}
	if t.needsOwn != "" || depth > maxJumps {
		return fault.New(fault.Unsupported, "%s is always reached anew", h.Name)
	}
	fmt.Fprintf(whole, "%q %q %d %q %q %v %q %q %q\n", t.name, t.host, t.port, t.user, t.keys, t.onlyKeys, t.agent, t.alias, t.jump)
	for _, path := range t.known {
		fmt.Fprintf(whole, "known %q %s\n", path, d.contents.sum(path))
	}
	for _, path := range t.keys {
		for _, end := range []string{"", ".pub", "-cert.pub"} {
			state, _, err := fileState(path + end)
			fmt.Fprintf(whole, "key %q %v\n", state, err == nil)
		}
	}
	if t.jump == "" {
		return nil
	}
	before, last := "", t.jump
	if i := strings.LastIndexByte(last, ','); i >= 0 {
		before, last = last[:i], last[i+1:]
	}
	hop, err := jumpHost(last)
	if err != nil {
		return err
	}
	return d.printTarget(ctx, whole, hop, before, depth+1)
}

// contents sums files that many hosts share once for each state that they have.
type contents struct {
	mu   sync.Mutex
	sums map[string]string // by path and state
}

func (c *contents) sum(path string) string {
	state, settled, err := fileState(path)
	if err != nil {
		return "absent"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if sum, ok := c.sums[state]; ok {
		return sum
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "unreadable"
	}
	of := sha256.Sum256(text)
	sum := hex.EncodeToString(of[:])
	if again, _, err := fileState(path); settled && err == nil && again == state {
		if c.sums == nil {
			c.sums = map[string]string{}
		}
		c.sums[state] = sum
	}
	return sum
}
