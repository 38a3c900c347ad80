// Package shape tells what a function does by its instructions, whatever compiler wrote them, and whatever its name and address.
package shape

import "slices"

// Shape is the content that one function must have, whatever its name and address; bounds come from .eh_frame or symbols.
type Shape struct {
	Machine string  `json:"machine"`
	Has     []Instr `json:"has"`               // all of these
	HasNot  []Instr `json:"has_not,omitempty"` // none of these
	MaxSize int     `json:"max_size,omitempty"`
}

// Instr matches instructions by what survives any compiler's register choice.
type Instr struct {
	// Op is mnemonics in lower case, any of; empty: any. On x86-64 a mov with memory also goes by its width: movb, movw, movl, movq.
	Op      []string `json:"op,omitempty"`
	Imm     []int64  `json:"imm,omitempty"`  // any of these immediates
	Reg     []string `json:"reg,omitempty"`  // any of these as the first operand
	Then    []string `json:"then,omitempty"` // the next conditional branch is one of these
	AtLeast int      `json:"at_least,omitempty"`
}

const defaultSize = 8 << 10

// Ready returns the shape with its defaults, and with what few functions hold in front: that is looked for first.
func (s Shape) Ready() Shape {
	if s.MaxSize == 0 {
		s.MaxSize = defaultSize
	}
	s.Has = slices.Clone(s.Has)
	slices.SortStableFunc(s.Has, func(x, y Instr) int { return x.rarity() - y.rarity() })
	return s
}

// MayFit is a quick look at a function's undecoded bytes that never says no wrongly.
func (s Shape) MayFit(machine string, b []byte) bool {
	for _, i := range s.Has {
		if !i.mayHold(machine, b) {
			return false
		}
	}
	return true
}

// Fits tells whether a function, decoded whole, has the shape.
func (s Shape) Fits(code []Instruction) bool {
	for _, i := range s.Has {
		if !i.in(code) {
			return false
		}
	}
	for _, i := range s.HasNot {
		if i.in(code) {
			return false
		}
	}
	return true
}

func (i Instr) in(code []Instruction) bool {
	count := 0
	for at, in := range code {
		if i.is(in) && (len(i.Then) == 0 || slices.Contains(i.Then, nextBranch(code[at+1:]))) {
			if count++; count >= i.AtLeast {
				return true
			}
		}
	}
	return false
}

func (i Instr) is(in Instruction) bool {
	if len(i.Op) > 0 && !slices.Contains(i.Op, in.op) && !slices.Contains(i.Op, in.sized) {
		return false
	}
	if len(i.Reg) > 0 && !slices.Contains(i.Reg, in.reg) {
		return false
	}
	return len(i.Imm) == 0 || slices.ContainsFunc(in.imms[:in.count], func(v int64) bool { return slices.Contains(i.Imm, v) })
}

func nextBranch(code []Instruction) string {
	for _, in := range code {
		if in.branch {
			return in.op
		}
	}
	return ""
}
