package shape

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"
)

// Instruction is what survives of a decoded instruction for matching.
type Instruction struct {
	op, sized string   // mnemonic, and for a mov to or from memory the name that says its width ("movb")
	imms      [2]int64 // of which count are there
	count     int
	reg       string // first operand when it is a register
	branch    bool   // conditional branch
}

func (i *Instruction) add(imm int64) {
	if i.count < len(i.imms) {
		i.imms[i.count] = imm
		i.count++
	}
}

// Decoder turns the bytes of functions into instructions. It keeps its memory: what Decode returns holds until the next call.
type Decoder struct {
	Machine string
	names   map[x86asm.Op]string
	regs    map[x86asm.Reg]string
	out     []Instruction
}

// NewDecoder makes one for the instructions of a machine, "x86-64" or "aarch64".
func NewDecoder(machine string) *Decoder {
	return &Decoder{Machine: machine, names: map[x86asm.Op]string{}, regs: map[x86asm.Reg]string{}}
}

// Decode takes the bytes of one function; bytes that are no instruction are stepped over.
func (d *Decoder) Decode(b []byte) []Instruction {
	d.out = d.out[:0]
	if d.Machine == "aarch64" {
		d.out = decodeArm64(d.out, b)
		return d.out
	}
	for len(b) > 0 {
		in, err := x86asm.Decode(b, 64)
		if err != nil || in.Len == 0 {
			b = b[1:]
			continue
		}
		b = b[in.Len:]
		d.out = append(d.out, d.fromX86(in))
	}
	return d.out
}

func (d *Decoder) fromX86(in x86asm.Inst) Instruction {
	op := d.names[in.Op]
	if op == "" {
		op = strings.ToLower(in.Op.String())
		d.names[in.Op] = op
	}
	i := Instruction{op: op, branch: op[0] == 'j' && in.Op != x86asm.JMP && in.Op != x86asm.LJMP}
	for n, arg := range in.Args {
		switch v := arg.(type) {
		case x86asm.Imm:
			i.add(int64(v))
		case x86asm.Reg:
			if n == 0 {
				i.reg = d.register(v)
			}
		case x86asm.Mem:
			i.sized = sizedName(op, in.MemBytes)
		}
	}
	return i
}

// sizedName is the mnemonic of an instruction on memory where the width tells something: a byte moved is not a word moved.
func sizedName(op string, width int) string {
	if op != "mov" {
		return op
	}
	switch width {
	case 1:
		return "movb"
	case 2:
		return "movw"
	case 4:
		return "movl"
	}
	return "movq"
}

func (d *Decoder) register(r x86asm.Reg) string {
	name := d.regs[r]
	if name == "" {
		name = strings.ToLower(r.String())
		d.regs[r] = name
	}
	return name
}

func decodeArm64(out []Instruction, b []byte) []Instruction {
	for ; len(b) >= 4; b = b[4:] {
		if in, err := arm64asm.Decode(b); err == nil {
			out = append(out, fromArm64(in))
		}
	}
	return out
}

// fromArm64 goes by the assembler's text, whose aliases (mov, cmp) say what was meant.
func fromArm64(in arm64asm.Inst) Instruction {
	words := strings.FieldsFunc(arm64asm.GNUSyntax(in), func(r rune) bool { return strings.ContainsRune(" ,[]!", r) })
	if len(words) == 0 {
		return Instruction{}
	}
	i := Instruction{op: strings.NewReplacer("b.hs", "b.cs", "b.lo", "b.cc").Replace(words[0])}
	i.branch = strings.HasPrefix(i.op, "b.") || i.op == "cbz" || i.op == "cbnz" || i.op == "tbz" || i.op == "tbnz"
	for n, w := range words[1:] {
		if n == 0 && !strings.HasPrefix(w, "#") {
			i.reg = w
		}
		if v, ok := immediate(w); ok {
			i.add(v)
		}
	}
	return i
}

func immediate(w string) (int64, bool) {
	w, ok := strings.CutPrefix(w, "#")
	if !ok {
		return 0, false
	}
	negative := strings.HasPrefix(w, "-")
	w = strings.TrimPrefix(w, "-")
	base := int64(10)
	if hex, ok := strings.CutPrefix(w, "0x"); ok {
		w, base = hex, 16
	}
	var v int64
	for _, c := range w {
		d := int64(strings.IndexRune("0123456789abcdef", c))
		if d < 0 || d >= base {
			return 0, false
		}
		v = v*base + d
	}
	if negative {
		v = -v
	}
	return v, w != ""
}

// mayHold is a quick look at undecoded bytes that never says no wrongly: decoding is what costs, and nearly no function is of a
// wanted shape.
func (i Instr) mayHold(machine string, b []byte) bool {
	if len(i.Imm) == 0 {
		return true
	}
	need := max(1, i.AtLeast)
	for _, imm := range i.Imm {
		if imm < 0 || imm > 0x7f || countImm(i, machine, b, byte(imm), need) {
			return true
		}
	}
	return false
}

// only tells whether the instruction is wanted with this one mnemonic.
func (i Instr) only(op string) bool { return len(i.Op) == 1 && i.Op[0] == op }

// rarity orders the parts of a shape so that what few functions hold is looked for first.
func (i Instr) rarity() int {
	switch {
	case (i.only("cmp") || i.only("movb")) && len(i.Imm) > 0:
		return 0
	case i.only("mov") && len(i.Reg) > 0 && len(i.Imm) > 0:
		return 1
	}
	return 2
}

func countImm(i Instr, machine string, b []byte, imm byte, need int) bool {
	if machine == "aarch64" {
		return !i.only("cmp") || countCompareArm64(b, uint32(imm)) >= need
	}
	isOf := func([]byte, int) bool { return true }
	switch {
	case i.only("cmp"):
		isOf = compareX86
	case i.only("movb"):
		isOf = storeX86
	}
	if i.only("mov") && len(i.Reg) > 0 { // a constant goes into a register as 32 bits (or 64, which begin the same)
		return bytes.Count(b, []byte{imm, 0, 0, 0}) >= need
	}
	for at, count := 0, 0; count < need; count++ {
		n := bytes.IndexByte(b[at:], imm)
		for n >= 0 && !isOf(b, at+n) {
			at += n + 1
			n = bytes.IndexByte(b[at:], imm)
		}
		if n < 0 {
			return false
		}
		at += n + 1
	}
	return true
}

// compareX86 tells whether the byte at b[at] may be the immediate of a cmp: opcodes 3c and 3d, or 80, 81, 83 with /7.
func compareX86(b []byte, at int) bool {
	if at > 0 && (b[at-1] == 0x3c || b[at-1] == 0x3d) {
		return true
	}
	for back := 2; back <= 7 && back <= at; back++ {
		if op := b[at-back]; (op == 0x83 || op == 0x80 || op == 0x81) && b[at-back+1]>>3&7 == 7 {
			return true
		}
	}
	return false
}

func countCompareArm64(b []byte, imm uint32) int {
	count := 0
	for ; len(b) >= 4; b = b[4:] {
		if w := binary.LittleEndian.Uint32(b); w&0x7fc0001f == 0x7100001f && w>>10&0xfff == imm {
			count++
		}
	}
	return count
}

// storeX86 tells whether the byte at b[at] may be the immediate of a mov of one byte to memory: opcode c6 with /0.
func storeX86(b []byte, at int) bool {
	for back := 2; back <= 7 && back <= at; back++ {
		if b[at-back] == 0xc6 && b[at-back+1]>>3&7 == 0 {
			return true
		}
	}
	return false
}
