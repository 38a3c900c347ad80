package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"time"

	"staunch/fault"
	"staunch/tame"
)

// Hook drives any other edge through a program of the team's own: PROGRAM stage|activate|retire, with a JSON object on its standard
// input and (for stage) a Ref as JSON on its standard output. The key reaches it on standard input only, never as an argument or file.
type Hook struct {
	Program string   // absolute path
	Env     []string // credentials and the like
}

type hookInput struct {
	Name   string `json:"name,omitempty"`
	Chain  string `json:"chain,omitempty"`
	Key    string `json:"key,omitempty"`
	Old    *Ref   `json:"old,omitempty"`
	Staged *Ref   `json:"staged,omitempty"`
}

// Stage hands the bundle to the program.
func (h Hook) Stage(ctx context.Context, b Bundle) (Ref, error) {
	key, err := b.key(ctx)
	if err != nil {
		return Ref{}, err
	}
	out, err := h.call(ctx, "stage", hookInput{Name: b.Name, Chain: b.Chain, Key: string(key)})
	if err != nil {
		return Ref{}, err
	}
	var ref Ref
	if err := json.Unmarshal(out, &ref); err != nil || ref.ID == "" {
		return Ref{}, fault.New(fault.Corrupt, "%s stage did not answer with {\"id\": ...}: %s", h.Program, tame.Short(string(out), 500))
	}
	ref.Driver = "hook"
	return ref, nil
}

// Activate tells the program to serve what was staged.
func (h Hook) Activate(ctx context.Context, old, staged Ref) error {
	_, err := h.call(ctx, "activate", hookInput{Old: &old, Staged: &staged})
	return err
}

// Retire tells the program to remove what was served before.
func (h Hook) Retire(ctx context.Context, old Ref) error {
	_, err := h.call(ctx, "retire", hookInput{Old: &old})
	return err
}

func (h Hook) call(ctx context.Context, verb string, in hookInput) ([]byte, error) {
	input, err := json.Marshal(in)
	if err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.Program, verb)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, h.Env...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.WaitDelay = 5 * time.Second
	out, says := Limited{Left: maxAnswer}, Limited{Left: 64 << 10}
	cmd.Stdout, cmd.Stderr = &out, &says
	if err := cmd.Run(); err != nil {
		kind := fault.Denied
		if ctx.Err() != nil {
			kind = fault.Unsure
		}
		return nil, fault.New(kind, "%s %s: %v: %s", h.Program, verb, err, tame.Short(says.Into.String(), 500))
	}
	return out.Into.Bytes(), nil
}

// Limited keeps the first bytes and drops the rest, so that a talkative program costs no memory.
type Limited struct {
	Into bytes.Buffer
	Left int
}

// Write never fails.
func (l *Limited) Write(p []byte) (int, error) {
	n := min(len(p), l.Left)
	l.Into.Write(p[:n])
	l.Left -= n
	return len(p), nil
}
