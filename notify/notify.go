// Package notify tells people something by a command of their own, and says whether that worked.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"staunch/fault"
)

// Message is what the command reads from its standard input, as one line of JSON.
type Message struct {
	Schema   int       `json:"schema"`
	Kind     string    `json:"kind"`     // lone_vote, glass, stopped, waits, done, due
	Incident string    `json:"incident"` // "7"
	To       string    `json:"to"`       // whom it is for, as the inventory or the checklist names them; "" everybody
	Says     string    `json:"says"`     // one sentence
	At       time.Time `json:"at"`
}

// Schema is the version of Message. Fields are only added.
const Schema = 1

// Command is the program of staunch.yaml's notify, with its arguments. No shell reads it.
type Command struct {
	Args  []string
	Env   []string      // its whole environment; the message comes on top, as STAUNCH_KIND, _INCIDENT, _TO and _SAYS
	Limit time.Duration // how long it may take; 0: 30 s
}

const (
	usualLimit = 30 * time.Second
	maxWords   = 300 // bytes of what a failed command said that are kept
)

// Send runs the command. It failed unless the command ends with 0 in time; what it printed is the reason.
func (c Command) Send(ctx context.Context, m Message) error {
	if len(c.Args) == 0 {
		return fault.New(fault.Unsupported, "no notify command is set").Hinted("notify: [/path/of/a/program, argument] in staunch.yaml")
	}
	limit := c.Limit
	if limit <= 0 {
		limit = usualLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m.Schema = Schema
	line, err := json.Marshal(m)
	if err != nil {
		return fault.New(fault.Bug, "%v", err)
	}
	words := &tail{}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append(append([]string{}, c.Env...), "STAUNCH_KIND="+m.Kind, "STAUNCH_INCIDENT="+m.Incident, "STAUNCH_TO="+flat(m.To), "STAUNCH_SAYS="+flat(m.Says))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(append(line, '\n')), words, words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with everything that it started
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fault.New(fault.Timeout, "%s took longer than %s", c.Args[0], limit)
	}
	said := ""
	if text := flat(words.String()); text != "" && errors.As(err, new(*exec.ExitError)) {
		said = ": " + text
	}
	return fault.New(fault.Unreachable, "%s: %v%s", c.Args[0], err, said)
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - maxWords; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }

// flat makes a text fit into one line of an environment variable or an error.
func flat(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
}
