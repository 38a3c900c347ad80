package deed

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
	"staunch/reach/act/files"
	"staunch/tame"
)

// hook runs one executable of the host's own hooks directory.
type hook struct {
	name   string
	params map[string]string
}

// declaration is NAME.json beside a hook: what it is for and which parameters it takes. A hook without one takes none.
type declaration struct {
	Schema int               `json:"schema"`           // 1
	Says   string            `json:"says,omitempty"`   // what it does, for previews
	Params map[string]string `json:"params,omitempty"` // name to the regular expression that the whole value must match
	Verify string            `json:"verify,omitempty"` // another hook that ends with 0 exactly when the effect is there
	Undo   string            `json:"undo,omitempty"`   // another hook that takes the effect back; it gets the same parameters
}

func (h hook) declared(b *Bench) (declaration, error) {
	if err := b.Policy.Hook(h.name); err != nil {
		return declaration{}, err
	}
	var d declaration
	f, err := files.OpenTrusted(b.Places.Root, filepath.Join(b.Places.Hooks, h.name), b.Places.Owner)
	if err != nil {
		return d, err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return d, fault.New(fault.Denied, "hook %s: %v", h.name, err)
	}
	if info.Mode()&0o100 == 0 {
		return d, denied("hook %s is not executable", h.name)
	}
	text, err := files.Trusted(b.Places.Root, filepath.Join(b.Places.Hooks, h.name+".json"), b.Places.Owner, 64<<10)
	if fault.Is(err, fault.NotFound) {
		return d, h.fits(d)
	}
	if err != nil {
		return d, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil || d.Schema != 1 {
		return d, denied("the declaration of hook %s is not understood: %v (schema %d)", h.name, err, d.Schema)
	}
	return d, h.fits(d)
}

func (h hook) fits(d declaration) error {
	for name, value := range h.params {
		pattern, declared := d.Params[name]
		if !declared {
			return denied("hook %s does not declare the parameter %s", h.name, name)
		}
		re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
		if err != nil {
			return denied("hook %s: the pattern of %s is not understood", h.name, name)
		}
		if !re.MatchString(value) {
			return denied("hook %s: %s=%.80q does not match %s", h.name, name, value, pattern)
		}
	}
	return nil
}

func (h hook) exec(ctx context.Context, b *Bench, name string, extra ...string) error {
	if _, err := (hook{name: name}).declared(b); err != nil && name != h.name {
		return err
	}
	env := append([]string{"STAUNCH_ORDER=" + b.Order.ID}, extra...)
	for k, v := range h.params {
		env = append(env, "STAUNCH_"+k+"="+v)
	}
	slices.Sort(env)
	lines, err := b.run(ctx, command{argv: []string{filepath.Join(b.Places.Hooks, name)}, env: env, output: 256 << 10})
	b.Say(lines...)
	return err
}

func (h hook) Check(_ context.Context, b *Bench) (act.Preview, error) {
	d, err := h.declared(b)
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{Says: []string{"run the host's own hook " + h.name + h.shown()}, Undo: "cannot be undone: the hook declares no way back", Finds: Encode(struct{}{})}
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

func (h hook) shown() string {
	var parts []string
	for k, v := range h.params {
		parts = append(parts, k+"="+tame.Short(v, 1000))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return ""
	}
	return " with " + strings.Join(parts, ", ")
}

func (h hook) Do(ctx context.Context, b *Bench) error {
	b.Tell("running hook " + h.name)
	return h.exec(ctx, b, h.name)
}

func (h hook) Verify(ctx context.Context, b *Bench) (any, error) {
	d, err := h.declared(b)
	if err != nil {
		return nil, err
	}
	return nil, h.proven(ctx, b, d)
}

func (h hook) proven(ctx context.Context, b *Bench, d declaration, extra ...string) error {
	if d.Verify != "" {
		return h.exec(ctx, b, d.Verify, extra...)
	}
	if b.Did {
		return nil
	}
	return fault.New(fault.Conflict, "only the end of hook %s could tell, and nothing declares how to verify it", h.name)
}

func (h hook) Undo(ctx context.Context, b *Bench) (any, error) {
	d, err := h.declared(b)
	if err != nil {
		return nil, err
	}
	if d.Undo == "" {
		return nil, denied("hook %s declares no way back", h.name)
	}
	return nil, h.exec(ctx, b, d.Undo)
}

// drain takes a service out of traffic, or back in, by a hook that gets STAUNCH_ACTION and STAUNCH_SERVICE.
type drain struct {
	kind act.Kind
	with *act.DrainWith
}

func (d drain) hook() hook { return hook{d.with.Hook, d.with.Params} }

func (d drain) env(kind act.Kind) []string {
	return []string{"STAUNCH_ACTION=" + string(kind), "STAUNCH_SERVICE=" + d.with.Service}
}

func (d drain) Check(ctx context.Context, b *Bench) (act.Preview, error) {
	p, err := d.hook().Check(ctx, b)
	if err != nil {
		return p, err
	}
	p.Says = append([]string{fmt.Sprintf("%s %s", d.kind, d.with.Service)}, p.Says...)
	p.Undo = fmt.Sprintf("runs the hook %s with the action %s", d.with.Hook, d.opposite())
	return p, nil
}

func (d drain) opposite() act.Kind {
	if d.kind == act.Drain {
		return act.Undrain
	}
	return act.Drain
}

func (d drain) Do(ctx context.Context, b *Bench) error {
	b.Tell(fmt.Sprintf("%s %s", d.kind, d.with.Service))
	return d.hook().exec(ctx, b, d.with.Hook, d.env(d.kind)...)
}

func (d drain) Verify(ctx context.Context, b *Bench) (any, error) {
	declared, err := d.hook().declared(b)
	if err != nil {
		return nil, err
	}
	return nil, d.hook().proven(ctx, b, declared, d.env(d.kind)...)
}

func (d drain) Undo(ctx context.Context, b *Bench) (any, error) {
	if _, err := d.hook().declared(b); err != nil {
		return nil, err
	}
	return nil, d.hook().exec(ctx, b, d.with.Hook, d.env(d.opposite())...)
}
