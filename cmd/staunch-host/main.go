// Command staunch-host is the part of staunch that travels to hosts: it answers questions and orders on its stdin and stdout.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/pattern"
	"staunch/reach/act"
	"staunch/reach/act/bounds"
	"staunch/reach/act/carry"
	"staunch/reach/here"
	"staunch/reach/host"
	"staunch/reach/wire"
	"staunch/see/keys"
	"staunch/see/scan"
)

// version is set by the build.
var version = "devel"

const usage = `staunch-host is run by staunch over ssh, not by people.
  staunch-host serve NONCE NAME [look]   greet with NONCE, then speak the wire on stdin and stdout; NAME is the fleet's name for this host;
                                         look: only answer questions, refuse every order
  staunch-host self-undo ORDER           undo an order that nobody confirmed (run by a timer)
  staunch-host version
`

var (
	reNonce = pattern.New(`^[0-9a-f]{16,64}$`)
	reName  = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$`)
)

func main() {
	scan.CollectLate()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	lookOnly := len(args) == 4 && args[3] == "look"
	switch {
	case (len(args) == 3 || lookOnly) && args[0] == "serve" && reNonce.MatchString(args[1]) && reName.MatchString(args[2]):
		return serve(args[1], args[2], lookOnly)
	case len(args) == 2 && args[0] == "self-undo":
		return selfUndo(args[1])
	case len(args) == 1 && args[0] == "version":
		fmt.Println("staunch-host", version)
		return nil
	}
	fmt.Fprint(os.Stderr, usage)
	return fault.New(fault.Usage, "unknown arguments")
}

// serve ends when the caller hangs up. A broken line must not kill an act in the middle, so its signals are ignored.
func serve(nonce, name string, lookOnly bool) error {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGINT)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	exe, err := os.Executable()
	if err != nil {
		return fault.New(fault.Unsupported, "this program cannot tell where it lies: %v", err)
	}
	machine := &here.Machine{
		Keys: func(ctx context.Context, q json.RawMessage, _ func(host.Progress)) (json.RawMessage, error) {
			return keys.Answer(ctx, q)
		},
		Called: name, LookOnly: lookOnly,
		Scan:   scan.Env{Version: version, Cache: filepath.Join(filepath.Dir(exe), "objects")},
		Engine: &carry.Engine{Places: bounds.Standard(), Self: []string{exe, "self-undo"}},
	}
	if err := wire.Greet(os.Stdout, nonce); err != nil {
		return err
	}
	return wire.Serve(ctx, wire.Stdio(os.Stdin, os.Stdout, nil), machine, version)
}

func selfUndo(order string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	engine := &carry.Engine{Places: bounds.Standard()}
	out, err := engine.SelfUndo(ctx, order)
	if err != nil {
		return err
	}
	fmt.Println(out.Status, out.Says)
	if out.Status != act.Undone && out.Status != act.Already {
		return fault.New(fault.Unsure, "not undone: it is tried again") // the timer's service starts us again
	}
	return nil
}
