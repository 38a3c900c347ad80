// Package hooks runs the host's own hooks: executables in a root-owned directory, by name, with declared parameters only.
package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/files"
	"staunch/tame"
)

// Hook runs one executable of the host's own hooks directory.
type Hook struct {
	Name   string
	Params map[string]string
}

// declaration is NAME.json beside a hook: what it is for and which parameters it takes. A hook without one takes none.
type declaration struct {
	Schema int               `json:"schema"`           // 1
	Says   string            `json:"says,omitempty"`   // what it does, for previews
	Params map[string]string `json:"params,omitempty"` // name to the regular expression that the whole value must match
	Verify string            `json:"verify,omitempty"` // another hook that ends with 0 exactly when the effect is there
	Undo   string            `json:"undo,omitempty"`   // another hook that takes the effect back; it gets the same parameters
}

func (h Hook) declared(b *bench.Bench) (declaration, error) {
	if err := b.Policy.Hook(h.Name); err != nil {
		return declaration{}, err
	}
	var d declaration
	f, err := files.OpenTrusted(b.Places.Root, filepath.Join(b.Places.Hooks, h.Name), b.Places.Owner)
	if err != nil {
		return d, err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return d, fault.New(fault.Denied, "hook %s: %v", h.Name, err)
	}
	if info.Mode()&0o100 == 0 {
		return d, bench.Denied("hook %s is not executable", h.Name)
	}
	text, err := files.Trusted(b.Places.Root, filepath.Join(b.Places.Hooks, h.Name+".json"), b.Places.Owner, 64<<10)
	if fault.Is(err, fault.NotFound) {
		return d, h.fits(d)
	}
	if err != nil {
		return d, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil || d.Schema != 1 {
		return d, bench.Denied("the declaration of hook %s is not understood: %v (schema %d)", h.Name, err, d.Schema)
	}
	return d, h.fits(d)
}

// fits holds the parameters against what the hook declares. One that is not given is an empty text: where its pattern does not take
// that, the hook does not run without it.
func (h Hook) fits(d declaration) error {
	for name := range h.Params {
		if _, declared := d.Params[name]; !declared {
			return bench.Denied("hook %s does not declare the parameter %s", h.Name, name)
		}
	}
	for name, pattern := range d.Params {
		value, given := h.Params[name]
		re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
		if err != nil {
			return bench.Denied("hook %s: the pattern of %s is not understood", h.Name, name)
		}
		if !given && !re.MatchString("") {
			return bench.Denied("hook %s needs the parameter %s (%s)", h.Name, name, pattern)
		}
		if !re.MatchString(value) {
			return bench.Denied("hook %s: %s=%.80q does not match %s", h.Name, name, value, pattern)
		}
	}
	return nil
}

// Exec runs a hook of this directory by its name, with this hook's parameters; extra is added to its environment.
func (h Hook) Exec(ctx context.Context, b *bench.Bench, name string, extra ...string) error {
	if _, err := (Hook{Name: name}).declared(b); err != nil && name != h.Name {
		return err
	}
	env := append([]string{"STAUNCH_ORDER=" + b.Order.ID}, extra...)
	for k, v := range h.Params {
		env = append(env, "STAUNCH_"+k+"="+v)
	}
	slices.Sort(env)
	lines, err := b.Run(ctx, bench.Command{Argv: []string{filepath.Join(b.Places.Hooks, name)}, Env: env, Output: 256 << 10})
	b.Say(lines...)
	return err
}

// Check tells which executable would run, with which parameters.
func (h Hook) Check(_ context.Context, b *bench.Bench) (act.Preview, error) {
	d, err := h.declared(b)
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{Says: []string{"run the host's own hook " + h.Name + h.shown()}, Undo: "cannot be undone: the hook declares no way back", Finds: bench.Encode(struct{}{})}
	if d.Says != "" {
		p.Says = append(p.Says, tame.Short(d.Says, 1000))
	}
	if d.Undo != "" {
		p.Undo = "runs the hook " + d.Undo
	}
	if d.Verify == "" {
		p.Warns = append(p.Warns, "its exit code is all that will be known of its effect")
	}
	return p, nil
}

func (h Hook) shown() string {
	var parts []string
	for k, v := range h.Params {
		parts = append(parts, k+"="+tame.Short(v, 1000))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return ""
	}
	return " with " + strings.Join(parts, ", ")
}

// Do runs the hook.
func (h Hook) Do(ctx context.Context, b *bench.Bench) error {
	b.Tell("running hook " + h.Name)
	return h.Exec(ctx, b, h.Name)
}

// Verify runs the proof that the hook declares.
func (h Hook) Verify(ctx context.Context, b *bench.Bench) (any, error) {
	d, err := h.declared(b)
	if err != nil {
		return nil, err
	}
	return nil, h.proven(ctx, b, d)
}

func (h Hook) proven(ctx context.Context, b *bench.Bench, d declaration, extra ...string) error {
	if d.Verify != "" {
		return h.Exec(ctx, b, d.Verify, extra...)
	}
	if b.Did {
		return nil
	}
	return fault.New(fault.Conflict, "only the end of hook %s could tell, and nothing declares how to verify it", h.Name)
}

// Undo runs the hook that the policy names as its way back.
func (h Hook) Undo(ctx context.Context, b *bench.Bench) (any, error) {
	d, err := h.declared(b)
	if err != nil {
		return nil, err
	}
	if d.Undo == "" {
		return nil, bench.Denied("hook %s declares no way back", h.Name)
	}
	return nil, h.Exec(ctx, b, d.Undo)
}

// Drain takes a service out of traffic, or back in, by a hook that gets STAUNCH_ACTION and STAUNCH_SERVICE.
type Drain struct {
	Kind act.Kind
	With *act.DrainWith
}

func (d Drain) hook() Hook { return Hook{d.With.Hook, d.With.Params} }

func (d Drain) env(kind act.Kind) []string {
	return []string{"STAUNCH_ACTION=" + string(kind), "STAUNCH_SERVICE=" + d.With.Service}
}

// Check tells which hook would take the service out, or put it back.
func (d Drain) Check(ctx context.Context, b *bench.Bench) (act.Preview, error) {
	p, err := d.hook().Check(ctx, b)
	if err != nil {
		return p, err
	}
	p.Says = append([]string{fmt.Sprintf("%s %s", d.Kind, d.With.Service)}, p.Says...)
	p.Undo = fmt.Sprintf("runs the hook %s with the action %s", d.With.Hook, d.opposite())
	return p, nil
}

func (d Drain) opposite() act.Kind {
	if d.Kind == act.Drain {
		return act.Undrain
	}
	return act.Drain
}

// Do runs that hook.
func (d Drain) Do(ctx context.Context, b *bench.Bench) error {
	b.Tell(fmt.Sprintf("%s %s", d.Kind, d.With.Service))
	return d.hook().Exec(ctx, b, d.With.Hook, d.env(d.Kind)...)
}

// Verify runs the proof that the hook declares, for this service.
func (d Drain) Verify(ctx context.Context, b *bench.Bench) (any, error) {
	declared, err := d.hook().declared(b)
	if err != nil {
		return nil, err
	}
	return nil, d.hook().proven(ctx, b, declared, d.env(d.Kind)...)
}

// Undo runs the opposite hook.
func (d Drain) Undo(ctx context.Context, b *bench.Bench) (any, error) {
	if _, err := d.hook().declared(b); err != nil {
		return nil, err
	}
	return nil, d.hook().Exec(ctx, b, d.With.Hook, d.env(d.opposite())...)
}
