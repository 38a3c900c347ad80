package elf

import (
	"context"
	"fmt"
	"slices"

	"staunch/see/scan/elf/image"
	"staunch/see/scan/elf/shape"
)

// compiledShape is a shape with the anchor that asks for it.
type compiledShape struct {
	anchor int
	shape  Shape
}

// compileShapes sorts the shapes by machine.
func (a *Analyser) compileShapes() error {
	a.shapes = map[string][]compiledShape{}
	for i, n := range a.anchors {
		for _, s := range n.Functions {
			if len(s.Has) == 0 {
				return fmt.Errorf("anchor %s: a function shape without instructions would match everything", n.ID)
			}
			a.shapes[s.Machine] = append(a.shapes[s.Machine], compiledShape{i, s.Ready()})
		}
		if n.Within != "" && a.anchor(n.Within) < 0 {
			return fmt.Errorf("anchor %s: there is no anchor %s to look within", n.ID, n.Within)
		}
	}
	return nil
}

func (a *Analyser) anchor(id string) int {
	return slices.IndexFunc(a.anchors, func(n Anchor) bool { return n.ID == id })
}

// shapeHits is what looking at every function found.
type shapeHits struct {
	reason string                   // why functions could not be looked at; "" when they were, all of them
	byName map[int][]image.Function // anchor to functions of its shape
	// inGaps is code of the shape where no function's bounds are known: it may be one function or parts of several.
	inGaps map[int][]image.Function
}

// match looks at every function of the object once for all wanted anchors' shapes.
func (a *Analyser) match(ctx context.Context, im *image.Image, machine string, want map[int]bool) (shapeHits, error) {
	hits := shapeHits{byName: map[int][]image.Function{}, inGaps: map[int][]image.Function{}}
	functions, err := im.Functions()
	if err != nil {
		hits.reason = err.Error()
		return hits, nil
	}
	gaps, err := im.Gaps(functions)
	if err != nil {
		hits.reason = err.Error()
	}
	var shapes []compiledShape
	for _, s := range a.shapes[machine] {
		if want[s.anchor] {
			shapes = append(shapes, s)
		}
	}
	m := matcher{d: shape.NewDecoder(machine), blocks: blockReader{im: im}, shapes: shapes, budget: a.opt.MaxInstructions}
	if err := m.all(ctx, functions, hits.byName); err != nil {
		return hits, err
	}
	if err := m.all(ctx, image.Windows(gaps), hits.inGaps); err != nil {
		return hits, err
	}
	if m.budget < 0 {
		hits.reason = "the limit of decoded instructions was reached"
	}
	return hits, nil
}

// matcher holds pieces of code against shapes, within a budget of decoded instructions.
type matcher struct {
	d      *shape.Decoder
	blocks blockReader
	shapes []compiledShape
	budget int
}

// all adds to hits what fits. It stops early, with a negative budget, when that is used up.
func (m *matcher) all(ctx context.Context, pieces []image.Function, hits map[int][]image.Function) error {
	for n, f := range pieces {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if b := m.blocks.function(f, m.shapes); b != nil && m.budget >= 0 {
			m.budget -= matchOne(m.d, f, b, m.shapes, hits)
		}
	}
	return nil
}

// matchOne decodes a function if any shape may fit and returns how many instructions that took.
func matchOne(d *shape.Decoder, f image.Function, b []byte, shapes []compiledShape, hits map[int][]image.Function) int {
	var code []shape.Instruction
	for _, s := range shapes {
		if len(b) > s.shape.MaxSize || !s.shape.MayFit(d.Machine, b) {
			continue
		}
		if code == nil {
			code = d.Decode(b)
		}
		if s.shape.Fits(code) {
			hits[s.anchor] = append(hits[s.anchor], f)
		}
	}
	return len(code)
}

// blockReader reads functions through one block of the file, since they lie close together.
type blockReader struct {
	im  *image.Image
	off uint64
	b   []byte
}

const blockSize = 1 << 20

// function returns the bytes of f (until the next call), nil when no shape is that long or its bytes are not in the file.
func (r *blockReader) function(f image.Function, shapes []compiledShape) []byte {
	size := f.To - f.From
	if !slices.ContainsFunc(shapes, func(s compiledShape) bool { return size <= uint64(s.shape.MaxSize) }) {
		return nil
	}
	off, left, ok := r.im.At(f.From)
	if !ok || left < size {
		return nil
	}
	if off < r.off || off+size > r.off+uint64(len(r.b)) {
		n := min(max(blockSize, size), left)
		if uint64(cap(r.b)) < n {
			r.b = make([]byte, n)
		}
		r.off, r.b = off, r.b[:n]
		if r.im.Read(r.b, off) != nil {
			r.b = r.b[:0]
			return nil
		}
	}
	return r.b[off-r.off:][:size]
}
