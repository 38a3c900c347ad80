package ssh

import (
	"context"
	"sync"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/reach/ssh/settings"
	"staunch/reach/wire"
)

// When to use sudo.
const (
	SudoAuto   = ""       // where it works without a password, or with Password; else look with the user's own rights
	SudoNever  = "never"  //
	SudoAlways = "always" // a host that does not allow it is an error
)

// Dialer connects to many hosts. Its fields are set before the first Dial; it is safe for concurrent use.
type Dialer struct {
	Program    string // the machine's ssh, "" when there is none
	ConfigFile string // ssh configuration instead of the user's own
	Home       string // the user's home directory
	User       string // who logs in where nothing else is said
	Agent      string // SSH_AUTH_SOCK
	Parts      *Parts
	Sudo       string
	// Password asks a person for the password for sudo, at most once for all hosts; nil: nobody can be asked. It is only called after
	// a host's key was verified.
	Password func(context.Context) (string, error)
	// Memory is a directory of the user's own that remembers what ssh said of its configuration, and the sums of host parts; "" for none.
	Memory string
	// LookOnly asks for host parts that only answer questions: they refuse every order and payload, and the login cannot begin anything else.
	LookOnly bool

	asked    sync.Once
	settings *settings.Reader
	contents contents
	known    known
	jumps    jumps
	ramp     ramp
}

// Host is one host at the far end of a login.
type Host struct {
	*wire.Client
	transport transport
}

// Close hangs up.
func (h *Host) Close() error {
	err := h.Client.Close()
	_ = h.transport.close() // the wire was closed in order before
	return err
}

// Dial logs in, puts the host part there where it is missing, and begins the conversation.
func (d *Dialer) Dial(ctx context.Context, h fleet.Host) (*Host, error) {
	t, err := d.transport(ctx, h)
	if err != nil {
		return nil, err
	}
	client, err := d.enter(ctx, h.Name, t)
	if err != nil {
		_ = t.close() // the first error is what matters
		return nil, err
	}
	if n, ours := t.(*native); ours && d.LookOnly {
		n.only()
	}
	return &Host{Client: client, transport: t}, nil
}

func (d *Dialer) transport(ctx context.Context, h fleet.Host) (transport, error) {
	if why := h.NotCovered(); why != "" && !h.TakesHooks() {
		return nil, fault.New(fault.Unsupported, "%s: %s", h.Name, why).Hinted("probe it from outside")
	}
	t, err := d.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	if h.Via == fleet.ViaSystem || t.needsOwn != "" {
		return d.viaSystem(h, t)
	}
	return d.login(ctx, t)
}

// Clean removes what Dial left on a host, with the rights that it uses and with the user's own. It tells whether there was something.
func (d *Dialer) Clean(ctx context.Context, h fleet.Host) (bool, error) {
	t, err := d.transport(ctx, h)
	if err != nil {
		return false, err
	}
	defer func() { _ = t.close() }() // nothing more is said on it
	mode := d.mode(t.user())
	removed, err := d.clean(ctx, h.Name, t, mode)
	if mode == sudoNever {
		return removed, err
	}
	if err != nil && (!fault.Is(err, fault.Denied) || d.Sudo == SudoAlways) {
		return false, err
	}
	own, err := d.clean(ctx, h.Name, t, sudoNever)
	return removed || own, err
}

// Close hangs up on jump hosts, and writes down what ssh said.
func (d *Dialer) Close() {
	d.jumps.close()
	d.config().Close()
}
