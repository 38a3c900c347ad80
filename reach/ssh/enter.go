package ssh

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"staunch/fault"
	"staunch/reach/wire"
	"staunch/tame"
)

// line is one command that runs on a host, with its streams.
type line struct {
	in     io.WriteCloser
	out    *bufio.Reader
	errs   *tail
	finish func() error // hangs up and waits
}

// transport starts commands on one host.
type transport interface {
	start(ctx context.Context, command string) (*line, error)
	close() error
	user() string // who is logged in, "" when not known
}

// tail keeps the last words on stderr and tells of sudo's prompts.
type tail struct {
	mu      sync.Mutex
	text    []byte
	prompts int
	changed chan struct{}
}

func newTail() *tail { return &tail{changed: make(chan struct{}, 1)} }

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.text = append(t.text, b...)
	if n := bytes.Count(t.text, []byte(prompt)); n > 0 {
		t.prompts += n
		t.text = bytes.ReplaceAll(t.text, []byte(prompt), nil)
	}
	if over := len(t.text) - 16<<10; over > 0 {
		t.text = append([]byte(nil), t.text[over:]...)
	}
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (t *tail) asked() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.prompts
}

// last is the end of what was said, fit for one line of an error.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.text))
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	return tame.Short(text, 1000)
}

// enter connects to the host part: it is put there first where it is missing.
func (d *Dialer) enter(ctx context.Context, name string, t transport) (*wire.Client, error) {
	mode := d.mode(t.user())
	client, err := d.enterAs(ctx, name, t, mode)
	if mode == sudoQuiet && fault.Is(err, fault.Denied) && d.Sudo != SudoAlways {
		return d.enterAs(ctx, name, t, sudoNever)
	}
	return client, err
}

// mode chooses the rights to ask for.
func (d *Dialer) mode(user string) sudoMode {
	switch {
	case user == "root" || d.Sudo == SudoNever:
		return sudoNever
	case d.Password != nil:
		return sudoAsk
	}
	return sudoQuiet
}

func (d *Dialer) enterAs(ctx context.Context, name string, t transport, mode sudoMode) (*wire.Client, error) {
	client, arch, err := d.hello(ctx, name, t, mode)
	if err != nil || client != nil {
		return client, err
	}
	if err := d.put(ctx, name, t, mode, arch); err != nil {
		return nil, err
	}
	client, _, err = d.hello(ctx, name, t, mode)
	if err == nil && client == nil {
		err = fault.New(fault.Corrupt, "%s: the host part was put there, and is not there", name).Hinted("is the cache directory cleaned at once, or mounted noexec?")
	}
	return client, err
}

// hello runs the enter script. It returns a client, or the architecture whose host part is missing.
func (d *Dialer) hello(ctx context.Context, name string, t transport, mode sudoMode) (*wire.Client, string, error) {
	amd, err := d.Parts.For("amd64")
	if err != nil {
		return nil, "", err
	}
	arm, err := d.Parts.For("arm64")
	if err != nil {
		return nil, "", err
	}
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, "", fault.New(fault.Bug, "no random numbers: %v", err)
	}
	n := hex.EncodeToString(nonce[:])
	l, err := d.begin(ctx, name, t, as(enter, mode), mode)
	if err != nil {
		return nil, "", err
	}
	how := ""
	if d.LookOnly {
		how = " look"
	}
	if _, err := fmt.Fprintf(l.in, "staunch-hello %s %s %s %s %s %s%s\n", n, amd.Sum, amd.Quick, arm.Sum, arm.Quick, name, how); err != nil {
		return nil, "", l.failed(ctx, name, err)
	}
	need := "staunch-need " + n + " "
	said, err := l.await(ctx, func(s string) bool { return s == wire.Greeting(n) || strings.HasPrefix(s, need) })
	if err != nil {
		return nil, "", l.failed(ctx, name, err)
	}
	if machine, missing := strings.CutPrefix(said, need); missing {
		_ = l.finish() // it has ended by itself
		if arches()[machine] == "" {
			return nil, "", fault.New(fault.Unsupported, "%s: there is no host part for %s machines", name, tame.Short(machine, 1000)).Hinted("it can only be probed from outside")
		}
		return nil, arches()[machine], nil
	}
	conn := wire.Stdio(io.NopCloser(l.out), l.in, l.finish)
	client, err := wire.Dial(ctx, conn, name)
	if err != nil {
		return nil, "", l.failed(ctx, name, err)
	}
	return client, "", nil
}

// begin starts a command and brings it to where it reads what we send: behind sudo's question, if it has one.
func (d *Dialer) begin(ctx context.Context, name string, t transport, command string, mode sudoMode) (*line, error) {
	l, err := t.start(ctx, command)
	if err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	refused := make(chan error, 1)
	if mode == sudoAsk {
		go func() { refused <- d.answerSudo(ctx, l, stop) }()
	} else {
		refused <- nil
	}
	_, err = l.await(ctx, func(s string) bool { return s == "staunch-ready" })
	close(stop)
	if bad := <-refused; bad != nil {
		_ = l.finish() // the refusal is what matters
		return nil, fault.New(fault.Denied, "%s: %v", name, bad).Hinted("%s", fault.HintOf(bad))
	}
	if err != nil {
		return nil, l.failed(ctx, name, err)
	}
	return l, nil
}

// answerSudo types the password when sudo asks, once. A second question means that it was wrong.
func (d *Dialer) answerSudo(ctx context.Context, l *line, stop <-chan struct{}) error {
	answered := false
	for {
		switch n := l.errs.asked(); {
		case n > 1:
			_ = l.in.Close() // ends sudo's asking; its error would be the same refusal
			return fault.New(fault.Denied, "sudo does not take the password")
		case n == 1 && !answered:
			password, err := d.Password(ctx)
			if err != nil {
				_ = l.in.Close() // as above
				return err
			}
			if _, err := io.WriteString(l.in, password+"\n"); err != nil {
				return fault.New(fault.Unreachable, "the connection was lost while sudo asked")
			}
			answered = true
		}
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return nil
		case <-l.errs.changed:
		}
	}
}

// await reads lines up to the wanted one; a host that is silent costs ctx's time.
func (l *line) await(ctx context.Context, wanted func(string) bool) (string, error) {
	type result struct {
		said string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		said, _, err := wire.SkipTo(l.out, wanted)
		done <- result{said, err}
	}()
	select {
	case r := <-done:
		return r.said, r.err
	case <-ctx.Done():
		_ = l.finish() // ends the reading goroutine
		<-done
		return "", ctx.Err()
	}
}

// failed hangs up and says why the host did not come to the point: its own last words are the best reason.
func (l *line) failed(ctx context.Context, name string, err error) error {
	ended := l.finish()
	if ctx.Err() != nil {
		return fault.New(fault.Timeout, "%s did not answer in time", name).Caused(ctx.Err())
	}
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Kind != fault.Unreachable {
		return fault.New(f.Kind, "%s: %s", name, f.What).Hinted("%s", f.Hint)
	}
	return explain(name, ended, l.errs.last())
}

// explain turns an exit code and the last words into a fault.
func explain(name string, ended error, words string) error {
	code := exitCode(ended)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(words, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("No space left", "Disk quota exceeded"):
		return fault.New(fault.Full, "%s: no room for the host part in its cache directory: %s", name, words).Hinted("it needs 13 MB in /var/cache (root) or ~/.cache")
	case code == 85:
		return fault.New(fault.Corrupt, "%s: the host part did not arrive as it was sent", name)
	case code == 82 || code == 83 || code == 84 || code == 86:
		return fault.New(fault.Denied, "%s: the cache directory for the host part cannot be used: %s", name, words).Hinted("it is /var/cache/staunch-host for root, else ~/.cache/staunch-host")
	case has("password is required", "sudo: not found", "sudo: command not found", "not in the sudoers", "not allowed to", "a terminal is required"):
		return fault.New(fault.Denied, "%s: %s", name, words).Hinted("log in as root, allow sudo without a password, or use --ask-sudo-password")
	case has("Permission denied", "Operation not permitted") && code == 126:
		return fault.New(fault.Denied, "%s: the host part may not run from its cache directory: %s", name, words).Hinted("is it mounted noexec?")
	case words != "":
		return fault.New(fault.Unreachable, "%s: %s", name, words)
	case code > 0:
		return fault.New(fault.Unreachable, "%s: the login ended with exit code %d before the host part could run", name, code).Hinted("may this user run commands there? (ForceCommand, nologin)")
	}
	return fault.New(fault.Unreachable, "%s: the connection ended before the host part answered", name)
}

// put sends the host part.
func (d *Dialer) put(ctx context.Context, name string, t transport, mode sudoMode, arch string) error {
	part, err := d.Parts.For(arch)
	if err != nil {
		return err
	}
	packed, err := part.pack()
	if err != nil {
		return err
	}
	l, err := d.begin(ctx, name, t, as(put, mode), mode)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.in, "staunch-put %s\n", part.Sum)
	if err == nil {
		_, err = l.in.Write(packed)
	}
	if closed := l.in.Close(); err == nil {
		err = closed
	}
	if err == nil {
		_, err = l.await(ctx, func(s string) bool { return s == "staunch-done" })
	}
	if err != nil {
		return l.failed(ctx, name, err)
	}
	_ = l.finish() // it has said its last word, and may end as it likes
	return nil
}

// Clean removes the host part and its cache from a host. It tells whether there was one.
func (d *Dialer) clean(ctx context.Context, name string, t transport, mode sudoMode) (bool, error) {
	l, err := d.begin(ctx, name, t, as(clean, mode), mode)
	if err != nil {
		return false, err
	}
	if _, err := io.WriteString(l.in, "staunch-clean\n"); err != nil {
		return false, l.failed(ctx, name, err)
	}
	said, err := l.await(ctx, func(s string) bool { return s == "staunch-removed" || s == "staunch-nothing" })
	if err != nil {
		return false, l.failed(ctx, name, err)
	}
	_ = l.finish() // it has said its last word, and may end as it likes
	return said == "staunch-removed", nil
}

// patience bounds how long a closing connection is waited for.
const patience = 2 * time.Second
