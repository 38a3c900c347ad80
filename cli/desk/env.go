// Package desk is what every verb stands at: what it takes from outside, the terminal, and its way to hosts, inventory, advisories and ledger.
package desk

import (
	"context"
	"fmt"
	"io"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/tame"
)

// Env is everything that the command line takes from outside; nothing below cli reads the environment.
type Env struct {
	Args    []string // without the program's name
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	Version string
	// Self is this program, for starting the keeper of connections (docs/ssh.md); "": none is started.
	Self string
	// Reach connects to hosts in another way than staunch.yaml says: for drills and tests on a pretend fleet.
	Reach func(ctx context.Context, h fleet.Host) (host.Host, error)

	warned map[string]bool // said already: a scan reads the advisories twice
}

// Warn says once on stderr what does not keep the work from being done.
func (e *Env) Warn(err error) {
	says := "warning: " + tame.Line(err.Error()) + "\n"
	if hint := fault.HintOf(err); hint != "" {
		says += "hint: " + tame.Line(hint) + "\n"
	}
	if e.warned == nil {
		e.warned = map[string]bool{}
	}
	if !e.warned[says] {
		e.warned[says] = true
		fmt.Fprint(e.Stderr, says)
	}
}

// Exit codes shared by every verb; scan and probe give 1 and 3 their own meaning (docs/exit-codes.md).
const (
	ExitClean      = 0
	ExitFound      = 1 // something affected, refused or failed
	ExitCannot     = 2 // could not look or act at all: usage, configuration, rights
	ExitIncomplete = 3 // nothing bad seen, but the picture is incomplete
)

// Exit ends a verb with a code and nothing more to print.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// Complain prints an error the way people read it: what, then what to do.
func Complain(w io.Writer, err error) {
	fmt.Fprintf(w, "error: %v\n", err)
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}
