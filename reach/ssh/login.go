package ssh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"staunch/fault"
	"staunch/tame"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// native is a login by our own client.
type native struct {
	client *ssh.Client
	who    string
}

func (n *native) user() string { return n.who }
func (n *native) close() error { return n.client.Close() }

// start opens a session. Agent forwarding is never asked for.
func (n *native) start(_ context.Context, command string) (*line, error) {
	session, err := n.client.NewSession()
	if err != nil {
		return nil, fault.New(fault.Unreachable, "no session: %v", err)
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, errors.Join(fault.New(fault.Bug, "%v", err), session.Close())
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, errors.Join(fault.New(fault.Bug, "%v", err), session.Close())
	}
	errs := newTail()
	session.Stderr = errs
	if err := session.Start(command); err != nil {
		return nil, errors.Join(fault.New(fault.Unreachable, "the command was not taken: %v", err), session.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	finish := func() error {
		_ = in.Close() // what is closed already is closed
		var err error
		select {
		case err = <-ended:
			ended <- err
		case <-time.After(patience):
		}
		_ = session.Close() // likewise
		return err
	}
	return &line{in: in, out: bufio.NewReaderSize(out, 64<<10), errs: errs, finish: finish}, nil
}

// only tells sshd that no other session will begin on this connection: from now on it refuses them. Other servers may not know the word.
func (n *native) only() {
	_, _, _ = n.client.SendRequest("no-more-sessions@openssh.com", false, nil) // nobody answers; a dead connection is noticed by the wire
}

func exitCode(err error) int {
	var e *ssh.ExitError
	if errors.As(err, &e) {
		return e.ExitStatus()
	}
	var c interface{ ExitCode() int }
	if errors.As(err, &c) {
		return c.ExitCode()
	}
	return 0
}

// login connects and proves who we are, through jump hosts where the configuration says so.
func (d *Dialer) login(ctx context.Context, t target) (*native, error) {
	if t.needsOwn != "" {
		return nil, fault.New(fault.Unsupported, "%s needs %s", t.name, t.needsOwn)
	}
	var last error
	for try := range tries {
		client, err := d.once(ctx, t)
		if err == nil {
			return &native{client: client, who: t.user}, nil
		}
		if last = err; !refusedEarly(err) || !pause(ctx, try) {
			break
		}
	}
	return nil, last
}

// tries is how often a connection that sshd drops before its first word is tried.
const tries = 8

// once is one try. Its seat is only held while it is under way, and its time begins with the seat.
func (d *Dialer) once(ctx context.Context, t target) (*ssh.Client, error) {
	release, err := d.ramp.enter(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	client, err := d.connect(ctx, t)
	release(err != nil && refusedEarly(err))
	if ctx.Err() != nil && err != nil && !fault.Is(err, fault.Denied) {
		return nil, fault.New(fault.Timeout, "%s (%s) did not answer within %v", t.name, t.address(), time.Since(began).Round(100*time.Millisecond)).Caused(ctx.Err())
	}
	return client, err
}

// refusedEarly tells a connection that sshd dropped before its first word (MaxStartups) or during the handshake.
func refusedEarly(err error) bool {
	words := err.Error()
	return fault.Is(err, fault.Unreachable) && (strings.Contains(words, "EOF") || strings.Contains(words, "reset by peer"))
}

func pause(ctx context.Context, try int) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(150<<min(try, 4)) * time.Millisecond):
		return true
	}
}

func (d *Dialer) connect(ctx context.Context, t target) (*ssh.Client, error) {
	verify, algos, err := d.known.hostKeys(t)
	if err != nil {
		return nil, err
	}
	methods, hang, tried := d.methods(t)
	defer hang()
	if len(methods) == 0 {
		return nil, fault.New(fault.Denied, "%s: there is no key to log in with (%s)", t.name, tried).Hinted("start an agent and ssh-add a key, or name an IdentityFile in the ssh configuration")
	}
	conn, err := d.reach(ctx, t)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var refused error
	config := &ssh.ClientConfig{
		User: t.user, Auth: methods, HostKeyAlgorithms: algos, Timeout: t.timeout,
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			refused = verify(host, remote, key)
			return refused
		},
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, t.address(), config)
	if err == nil {
		return ssh.NewClient(c, chans, reqs), nil
	}
	_ = conn.Close() // the handshake's error is what matters
	switch {
	case refused != nil:
		return nil, refused
	case strings.Contains(err.Error(), "unable to authenticate"):
		return nil, fault.New(fault.Denied, "%s: %s is not let in (tried: %s)", t.name, t.user, tried).Hinted("does `ssh %s` work?", t.name)
	case strings.Contains(err.Error(), "no common algorithm for host key"):
		return nil, fault.New(fault.Denied, "%s offers no host key of a type that known_hosts has (%s)", t.name, strings.Join(algos, ", ")).Hinted("somebody may be in between, or the host got new keys: compare them on its console")
	}
	return nil, fault.New(fault.Unreachable, "%s (%s): %s", t.name, t.address(), tame.Short(err.Error(), 1000))
}

// reach opens the connection that ssh will run on.
func (d *Dialer) reach(ctx context.Context, t target) (net.Conn, error) {
	var conn net.Conn
	var err error
	if t.jump == "" {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", t.address())
	} else {
		var via *ssh.Client
		if via, err = d.jumps.through(ctx, d, t.jump, 0); err != nil {
			return nil, fault.New(fault.KindOf(err), "%s: by jump host %s: %v", t.name, t.jump, err).Hinted("%s", fault.HintOf(err))
		}
		conn, err = via.DialContext(ctx, "tcp", t.address())
	}
	if err != nil {
		return nil, fault.New(fault.Unreachable, "%s: %s", t.name, tame.Short(plain(err), 1000))
	}
	return conn, nil
}

func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil {
		return fmt.Sprintf("%v: %v", op.Addr, op.Err)
	}
	return err.Error()
}

// methods are the ways to prove who we are: the agent's keys and the identity files. tried names them for an error.
func (d *Dialer) methods(t target) (methods []ssh.AuthMethod, hang func(), tried string) {
	var names []string
	hang = func() {}
	files, signers := readKeys(t.keys, &names)
	if t.agent != "" {
		if conn, err := net.Dial("unix", t.agent); err == nil {
			hang = func() { _ = conn.Close() }
			list := agent.NewClient(conn)
			methods = append(methods, ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
				of, err := list.Signers()
				if err != nil {
					return signers, nil
				}
				return append(wanted(of, files, t.onlyKeys), signers...), nil
			}))
			names = append(names, "the agent")
		} else {
			names = append(names, "no agent answers at "+t.agent)
		}
	}
	if len(methods) == 0 && len(signers) > 0 {
		methods = append(methods, ssh.PublicKeys(signers...))
	}
	return methods, hang, orElse(strings.Join(names, ", "), "no agent, no identity file")
}

// wanted leaves out the agent's other keys where the configuration says IdentitiesOnly.
func wanted(of []ssh.Signer, files map[string]bool, only bool) []ssh.Signer {
	if !only {
		return of
	}
	var some []ssh.Signer
	for _, s := range of {
		if files[string(s.PublicKey().Marshal())] {
			some = append(some, s)
		}
	}
	return some
}

// readKeys reads identity files, with their certificates. public holds the public halves of all, also of those that only an agent can use.
func readKeys(paths []string, names *[]string) (public map[string]bool, signers []ssh.Signer) {
	public = map[string]bool{}
	for _, path := range paths {
		if b, err := readSmall(path + ".pub"); err == nil {
			if key, _, _, _, err := ssh.ParseAuthorizedKey(b); err == nil {
				public[string(key.Marshal())] = true
			}
		}
		b, err := readSmall(path)
		if err != nil {
			continue
		}
		signer, err := ssh.ParsePrivateKey(b)
		if locked := (*ssh.PassphraseMissingError)(nil); errors.As(err, &locked) {
			if locked.PublicKey != nil {
				public[string(locked.PublicKey.Marshal())] = true
			}
			*names = append(*names, path+" (locked by a passphrase: ssh-add it)")
			continue
		}
		if err != nil {
			*names = append(*names, path+" (cannot be read)")
			continue
		}
		public[string(signer.PublicKey().Marshal())] = true
		*names = append(*names, path)
		if with := certified(signer, path+"-cert.pub"); with != nil {
			signers = append(signers, with)
		}
		signers = append(signers, signer)
	}
	return public, signers
}

func certified(signer ssh.Signer, path string) ssh.Signer {
	b, err := readSmall(path)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return nil
	}
	cert, is := key.(*ssh.Certificate)
	if !is {
		return nil
	}
	with, err := ssh.NewCertSigner(cert, signer)
	if err != nil {
		return nil
	}
	return with
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<10))
}
