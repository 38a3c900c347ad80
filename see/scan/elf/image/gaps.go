package image

import "fmt"

// gapWindow is how large a function without unwind information may be and still be met whole by the windows laid over such code.
const gapWindow = 1024

// Gaps returns the stretches of code that no unwind entry covers: assembler, and whatever was compiled without unwind tables. A shape
// that is not found among the functions may still lie there. functions must be sorted by address.
func (im *Image) Gaps(functions []Function) ([]Function, error) {
	code, total := im.codeSections(), uint64(0)
	if len(code) == 0 { // without sections constants cannot be told from code: only what lies between functions is certain
		var covered uint64
		for _, f := range functions {
			covered += f.To - f.From
		}
		for _, s := range im.segments {
			if s.kind == typeLoad && s.flags&flagExec != 0 {
				total += s.Size
			}
		}
		if covered < total/4 {
			return nil, fmt.Errorf("the unwind table covers only %d of %d bytes of code", covered, total)
		}
		code = []Function{{functions[0].From, functions[len(functions)-1].To}}
	}
	var out []Function
	for _, c := range code {
		at := c.From
		for _, f := range functions {
			if f.To <= at || f.From >= c.To {
				continue
			}
			if f.From > at {
				out = append(out, Function{at, f.From})
			}
			at = max(at, f.To)
		}
		if at < c.To {
			out = append(out, Function{at, c.To})
		}
	}
	return out, nil
}

// maxCodeSections is more than linkers make; a table with more of them is not believed.
const maxCodeSections = 64

// codeSections returns the executable sections, none when the section table is gone.
func (im *Image) codeSections() []Function {
	var out []Function
	for _, s := range im.sections {
		if s.flags&6 == 6 && s.kind == 1 && s.Size > 0 && s.addr+s.Size > s.addr {
			out = append(out, Function{s.addr, s.addr + s.Size})
		}
	}
	if len(out) > maxCodeSections {
		return nil
	}
	return out
}

// Windows lays overlapping windows over the gaps, so that each function of at most gapWindow bytes lies whole in one. Gaps too small
// to hold anything are padding.
func Windows(gaps []Function) []Function {
	var out []Function
	for _, g := range gaps {
		if g.To-g.From < 64 {
			continue
		}
		for at := g.From; at < g.To && len(out) < maxFunctions; at += gapWindow {
			out = append(out, Function{at, min(at+2*gapWindow, g.To)})
		}
	}
	return out
}
