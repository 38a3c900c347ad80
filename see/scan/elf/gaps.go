package elf

import "fmt"

// gapWindow is how large a function without unwind information may be and still be met whole by the windows laid over such code.
const gapWindow = 1024

// gaps returns the stretches of code that no unwind entry covers: assembler, and whatever was compiled without unwind tables. A shape
// that is not found among the functions may still lie there. functions must be sorted by address.
func (im *image) gaps(functions []function) ([]function, error) {
	code, total := im.codeSections(), uint64(0)
	if len(code) == 0 { // without sections constants cannot be told from code: only what lies between functions is certain
		var covered uint64
		for _, f := range functions {
			covered += f.to - f.from
		}
		for _, s := range im.segments {
			if s.kind == typeLoad && s.flags&flagExec != 0 {
				total += s.size
			}
		}
		if covered < total/4 {
			return nil, fmt.Errorf("the unwind table covers only %d of %d bytes of code", covered, total)
		}
		code = []function{{functions[0].from, functions[len(functions)-1].to}}
	}
	var out []function
	for _, c := range code {
		at := c.from
		for _, f := range functions {
			if f.to <= at || f.from >= c.to {
				continue
			}
			if f.from > at {
				out = append(out, function{at, f.from})
			}
			at = max(at, f.to)
		}
		if at < c.to {
			out = append(out, function{at, c.to})
		}
	}
	return out, nil
}

// maxCodeSections is more than linkers make; a table with more of them is not believed.
const maxCodeSections = 64

// codeSections returns the executable sections, none when the section table is gone.
func (im *image) codeSections() []function {
	var out []function
	for _, s := range im.sections {
		if s.flags&6 == 6 && s.kind == 1 && s.size > 0 && s.addr+s.size > s.addr {
			out = append(out, function{s.addr, s.addr + s.size})
		}
	}
	if len(out) > maxCodeSections {
		return nil
	}
	return out
}

// windows lays overlapping windows over the gaps, so that each function of at most gapWindow bytes lies whole in one. Gaps too small
// to hold anything are padding.
func windows(gaps []function) []function {
	var out []function
	for _, g := range gaps {
		if g.to-g.from < 64 {
			continue
		}
		for at := g.from; at < g.to && len(out) < maxFunctions; at += gapWindow {
			out = append(out, function{at, min(at+2*gapWindow, g.to)})
		}
	}
	return out
}
