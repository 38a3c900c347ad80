package testbed

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Exec runs a shell command as root and returns what it printed; it fails the test where the command fails.
func (h *Host) Exec(t testing.TB, command string) string {
	t.Helper()
	out, err := h.Run("root", command)
	if err != nil {
		t.Fatalf("%s: %s: %v: %s", h.Name, command, err, out)
	}
	return out
}

// Run runs a shell command as a user and returns stdout and stderr together, without the last newline.
func (h *Host) Run(user, command string) (string, error) {
	client, err := h.login(user)
	if err != nil {
		return "", err
	}
	cut := time.AfterFunc(5*patience, h.hangUp) // a host that dies in silence ends the command
	defer cut.Stop()
	session, err := client.NewSession()
	if err != nil {
		h.hangUp()
		return "", err
	}
	defer session.Close()
	out, err := session.CombinedOutput(command)
	var exit *ssh.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.hangUp()
	}
	return strings.TrimSuffix(string(out), "\n"), err
}

// Write writes a file on the host, through its disk: it works while the host is cut off or down.
func (h *Host) Write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	full := h.Path(path)
	must(t, os.MkdirAll(filepath.Dir(full), 0o755))
	must(t, os.WriteFile(full, []byte(text), mode))
	must(t, os.Chmod(full, mode))
}

// Path is where a file of the host lies as seen from this machine (/run, /tmp and /proc are the host's own and are not there).
func (h *Host) Path(path string) string { return filepath.Join(h.root(), path) }

// login keeps one connection a user.
func (h *Host) login(user string) (*ssh.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.client[user]; c != nil {
		return c, nil
	}
	config := &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(h.bed.signer)}, HostKeyCallback: ssh.FixedHostKey(h.hostKey), Timeout: 2 * time.Second,
	}
	address := net.JoinHostPort(h.Addr, strconv.Itoa(h.Port))
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	h.client[user] = ssh.NewClient(c, chans, reqs)
	return h.client[user], nil
}

// hangUp forgets all connections.
func (h *Host) hangUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for user, c := range h.client {
		_ = c.Close() // often dead already
		delete(h.client, user)
	}
}

// await returns when the host accepts a login and its start-up is over.
func (h *Host) await() error {
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		out, err := h.Run("root", "systemctl is-system-running --wait")
		state := strings.TrimSpace(out)
		if state == "running" || state == "degraded" {
			return nil
		}
		h.hangUp()
		last = fmt.Errorf("%s %w", state, err)
	}
	return fmt.Errorf("no login within %v: %w; console: %s", patience, last, h.Console())
}
