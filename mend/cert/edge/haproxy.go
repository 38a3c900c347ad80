package edge

import (
	"context"
	"io"
	"net"
	"strings"
	"time"

	"staunch/fault"
	"staunch/tame"
)

// HAProxy replaces a certificate in a running HAProxy by its runtime API (management guide, "set ssl cert"): no reload, no lost
// connection. What it changes lives in memory, so the file on disk has to be placed as well.
type HAProxy struct {
	Socket string // path of the stats socket with level admin
	File   string // the certificate's name in HAProxy: the path in its configuration
}

// Stage opens a transaction with key and chain; HAProxy checks that they fit. Nothing is served from it before Activate.
func (h HAProxy) Stage(ctx context.Context, b Bundle) (Ref, error) {
	key, err := b.key(ctx)
	if err != nil {
		return Ref{}, err
	}
	payload := strings.TrimSpace(b.Chain) + "\n" + strings.TrimSpace(string(key)) + "\n"
	// An earlier transaction that was left open would refuse ours; aborting one that is not there is answered, and changes nothing.
	if _, err := h.ask(ctx, "abort ssl cert "+h.File+"\n"); err != nil {
		return Ref{}, err
	}
	got, err := h.ask(ctx, "set ssl cert "+h.File+" <<\n"+payload+"\n")
	if err != nil {
		return Ref{}, err
	}
	if !strings.Contains(got, "Transaction created") {
		return Ref{}, fault.New(fault.Denied, "haproxy refuses the certificate: %s", tame.Short(got, 500))
	}
	return Ref{Driver: "haproxy", ID: h.File, More: map[string]string{"socket": h.Socket}}, nil
}

// Activate commits the transaction.
func (h HAProxy) Activate(ctx context.Context, _, _ Ref) error {
	got, err := h.ask(ctx, "commit ssl cert "+h.File+"\n")
	if err != nil {
		return err
	}
	if !strings.Contains(got, "Success") {
		return fault.New(fault.Denied, "haproxy did not commit: %s", tame.Short(got, 500))
	}
	return nil
}

// Retire has nothing to do: the old certificate was replaced in memory.
func (h HAProxy) Retire(context.Context, Ref) error { return nil }

// ask sends one command; HAProxy closes the connection after its answer.
func (h HAProxy) ask(ctx context.Context, command string) (string, error) {
	if h.File == "" || strings.ContainsAny(h.File, " \n;\\") {
		return "", fault.New(fault.Usage, "%q cannot be a certificate's name in haproxy", tame.Short(h.File, 500))
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", h.Socket)
	if err != nil {
		return "", fault.New(fault.Unreachable, "haproxy's socket %s: %v", h.Socket, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", fault.New(fault.Unreachable, "haproxy's socket %s: %v", h.Socket, err)
	}
	if _, err := io.WriteString(conn, command); err != nil {
		return "", fault.New(fault.Unsure, "haproxy's socket %s: %v", h.Socket, err)
	}
	got, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	if err != nil {
		return "", fault.New(fault.Unsure, "haproxy's socket %s: %v", h.Socket, err)
	}
	return strings.TrimSpace(string(got)), nil
}
