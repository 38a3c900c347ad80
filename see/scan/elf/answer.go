package elf

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"staunch/see/scan/elf/image"
	"staunch/see/scan/elf/rules"
	"staunch/see/scan/elf/shape"
	"staunch/tame"
)

// answers asks every anchor whose component the object holds.
func (a *Analyser) answers(ctx context.Context, im *image.Image, l image.Linking, t *trace, o Object) ([]Answer, error) {
	asked := map[int]bool{}
	for i, n := range a.anchors {
		if n.Component == "" || slices.ContainsFunc(o.Components, func(c Component) bool { return c.Name == n.Component && c.Linkage != Headers }) {
			asked[i] = true
		}
	}
	var hits shapeHits
	if t.packed == "" && slices.ContainsFunc(a.shapes[o.Machine], func(s compiledShape) bool { return asked[s.anchor] }) {
		var err error
		if hits, err = a.match(ctx, im, o.Machine, a.withOuter(asked)); err != nil {
			return nil, err
		}
	}
	q := inquiry{a: a, im: im, t: t, machine: o.Machine, hits: hits}
	var out []Answer
	for i := range a.anchors {
		if asked[i] {
			out = append(out, q.answer(i))
		}
	}
	return out, nil
}

// withOuter names the anchors whose shapes are looked for in every function: those that look within another leave that to it.
func (a *Analyser) withOuter(asked map[int]bool) map[int]bool {
	want := map[int]bool{}
	for i := range asked {
		if w := a.anchors[i].Within; w != "" {
			want[a.anchor(w)] = true
		} else {
			want[i] = true
		}
	}
	return want
}

// inquiry answers anchors for one object.
type inquiry struct {
	a       *Analyser
	im      *image.Image
	t       *trace
	machine string
	hits    shapeHits
}

// answer goes from the strongest evidence to the weakest; a "no" needs a decisive way of looking that could be used here.
func (q inquiry) answer(i int) Answer {
	n := q.a.anchors[i]
	out := Answer{Anchor: n.ID, Says: Unknown, Kind: "code", Detail: "nothing found, and not finding it proves nothing here"}
	if q.t.packed != "" {
		out.Detail = "packed: " + q.t.packed
		return out
	}
	if n.Within != "" && len(n.Functions) > 0 {
		return q.within(i)
	}
	for _, look := range []func(int) (Answer, bool){q.bySymbol, q.byCode, q.byFunction, q.byString} {
		if yes, ok := look(i); ok {
			yes.Anchor, yes.Says = n.ID, Yes
			return yes
		}
	}
	for _, way := range n.Decisive {
		if detail, kind, ok := q.couldLook(i, way); ok {
			return Answer{Anchor: n.ID, Says: No, Kind: kind, Detail: detail}
		}
	}
	if len(n.Functions) > 0 && q.hits.reason != "" {
		out.Detail = "functions could not be told apart: " + q.hits.reason
	} else if g := q.hits.inGaps[i]; len(g) > 0 {
		out.Detail = "no function has this shape, but code without unwind information may hold one, near " + places(g)
	}
	return out
}

func (q inquiry) bySymbol(i int) (Answer, bool) {
	for _, s := range q.a.anchors[i].Symbols {
		if p := q.t.symbols[s]; p.Defined {
			return Answer{Kind: "symbol", Detail: fmt.Sprintf("%s at %#x", s, p.Addr)}, true
		}
	}
	return Answer{}, false
}

func (q inquiry) byCode(i int) (Answer, bool) {
	for j, c := range q.a.anchors[i].Code {
		s := q.t.sites[siteKey{i, j}]
		if c.Machine == q.machine && s != nil && s.count >= max(1, c.AtLeast) {
			return Answer{Kind: "code", Detail: fmt.Sprintf("%d sites, the first at address %#x", s.count, q.im.Address(s.first))}, true
		}
	}
	return Answer{}, false
}

func (q inquiry) byFunction(i int) (Answer, bool) {
	if f := q.hits.byName[i]; len(f) > 0 {
		return Answer{Kind: "code", Detail: "function of this shape at " + places(f)}, true
	}
	return Answer{}, false
}

func (q inquiry) byString(i int) (Answer, bool) {
	s := q.t.strings[i]
	if len(s) == 0 {
		return Answer{}, false
	}
	kind := "string"
	if strings.HasPrefix(s[0].text, "-D") {
		kind = "build_flag"
	}
	return Answer{Kind: kind, Detail: fmt.Sprintf("%q at %#x", tame.Short(s[0].text, 256), s[0].off)}, true
}

// couldLook tells whether a way of looking was possible in this object, so that finding nothing means something.
func (q inquiry) couldLook(i int, way string) (detail, kind string, ok bool) {
	n := q.a.anchors[i]
	switch way {
	case "symbols":
		rule := slices.IndexFunc(q.a.rules, func(r rules.Rule) bool { return r.Name == n.Component })
		if rule < 0 || !q.t.symbolsRead {
			return "", "", false
		}
		have := q.t.defined(q.a.rules[rule])
		return fmt.Sprintf("symbols of %s are here, %s is not among them", n.Component, strings.Join(n.Symbols, ", ")), "symbol", len(have) > 0
	case "strings":
		return "the text is nowhere in its constant segments", "string", len(n.Strings) > 0 && !q.t.flooded
	case "code":
		ok = slices.ContainsFunc(n.Code, func(c Code) bool { return c.Machine == q.machine })
		return "the code's pattern is nowhere in its executable segments", "code", ok
	case "functions":
		ok = slices.ContainsFunc(n.Functions, func(s Shape) bool { return s.Machine == q.machine })
		return "no function has this shape", "code", ok && q.hits.reason == "" && len(q.hits.inGaps[i]) == 0
	}
	return "", "", false
}

// within answers an anchor about the inside of the functions that another anchor found: yes only when every one of them has it.
func (q inquiry) within(i int) Answer {
	n, outer := q.a.anchors[i], q.a.anchor(q.a.anchors[i].Within)
	out := Answer{Anchor: n.ID, Says: Unknown, Kind: "code"}
	shapes := slices.DeleteFunc(slices.Clone(n.Functions), func(s Shape) bool { return s.Machine != q.machine })
	functions := q.functionsOf(outer)
	switch {
	case len(shapes) == 0:
		out.Detail = "not known for machine " + q.machine
		return out
	case len(functions) == 0:
		out.Detail = "no function of " + n.Within + " was found to look within"
		return out
	}
	var with, without []image.Function
	for _, f := range functions {
		b, err := q.bytesOf(f)
		if err != nil {
			out.Detail = fmt.Sprintf("the function at %#x could not be read", f.From)
			return out
		}
		code := shape.NewDecoder(q.machine).Decode(b)
		if slices.ContainsFunc(shapes, func(s Shape) bool { return s.Fits(code) }) {
			with = append(with, f)
		} else {
			without = append(without, f)
		}
	}
	if len(without) == 0 {
		out.Says, out.Detail = Yes, "in every function of "+n.Within+": "+places(with)
	} else if slices.Contains(n.Decisive, "functions") {
		out.Says, out.Detail = No, "not in the function of "+n.Within+" at "+places(without)
	} else {
		out.Detail = "not found in the function at " + places(without)
	}
	return out
}

// functionsOf returns the functions an anchor found by shape, and those that carry one of its names.
func (q inquiry) functionsOf(i int) []image.Function {
	out := slices.Clone(q.hits.byName[i])
	for _, s := range q.a.anchors[i].Symbols {
		p := q.t.symbols[s]
		if !p.Defined || p.Size == 0 || slices.ContainsFunc(out, func(f image.Function) bool { return f.From == p.Addr }) {
			continue
		}
		out = append(out, image.Function{From: p.Addr, To: p.Addr + p.Size})
	}
	return out
}

const maxWithin = 64 << 10

func (q inquiry) bytesOf(f image.Function) ([]byte, error) {
	off, left, ok := q.im.At(f.From)
	if n := f.To - f.From; ok && n <= left && n <= maxWithin {
		return q.im.Bytes(off, n)
	}
	return nil, image.ErrShort
}

func places(list []image.Function) string {
	var out []string
	for _, f := range list[:min(len(list), 8)] {
		out = append(out, fmt.Sprintf("%#x", f.From))
	}
	return strings.Join(out, ", ")
}
