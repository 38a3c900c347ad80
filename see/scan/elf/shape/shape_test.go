package shape

import "testing"

// asked is a shape of each kind of question: compared with, stored, put into a register, by width and by branch.
func asked(machine string) []Shape {
	return []Shape{
		{Machine: machine, Has: []Instr{{Op: []string{"cmp"}, Imm: []int64{0x12}, Then: []string{"je", "jne", "b.eq", "b.ne"}}}},
		{Machine: machine, Has: []Instr{{Op: []string{"movb"}, Imm: []int64{2}}}},
		{Machine: machine, Has: []Instr{{Op: []string{"mov"}, Reg: []string{"eax", "rax", "w0"}, Imm: []int64{0x10}}}},
		{Machine: machine, Has: []Instr{{Imm: []int64{0x18}, AtLeast: 2}}},
		{Machine: machine, Has: []Instr{{Op: []string{"ret"}}}, HasNot: []Instr{{Op: []string{"call", "bl"}}}},
	}
}

func TestShapesFitWhatTheyAskFor(t *testing.T) {
	for name, c := range map[string]struct {
		machine string
		code    string
		fits    []bool
	}{
		"cmp al,0x12; je; ret":              {"x86-64", "\x3c\x12\x74\x00\xc3", []bool{true, false, false, false, true}},
		"cmp al,0x12; ret":                  {"x86-64", "\x3c\x12\xc3", []bool{false, false, false, false, true}},
		"movb [rax],2; call":                {"x86-64", "\xc6\x00\x02\xe8\x00\x00\x00\x00\xc3", []bool{false, true, false, false, false}},
		"movl [rax],2; ret":                 {"x86-64", "\xc7\x00\x02\x00\x00\x00\xc3", []bool{false, false, false, false, true}},
		"mov eax,0x10":                      {"x86-64", "\xb8\x10\x00\x00\x00", []bool{false, false, true, false, false}},
		"add eax,0x18; add ecx,0x18":        {"x86-64", "\x83\xc0\x18\x83\xc1\x18", []bool{false, false, false, true, false}},
		"cmp w0,#0x12; b.eq; ret (aarch64)": {"aarch64", "\x1f\x48\x00\x71\x40\x00\x00\x54\xc0\x03\x5f\xd6", []bool{true, false, false, false, true}},
		"nothing":                           {"x86-64", "", []bool{false, false, false, false, false}},
	} {
		code := NewDecoder(c.machine).Decode([]byte(c.code))
		for n, s := range asked(c.machine) {
			if s = s.Ready(); s.Fits(code) != c.fits[n] {
				t.Errorf("%s: shape %d fits: %v", name, n, !c.fits[n])
			} else if c.fits[n] && !s.MayFit(c.machine, []byte(c.code)) {
				t.Errorf("%s: shape %d fits, the quick look says that it cannot", name, n)
			}
		}
	}
}

func TestFunctionsThatReturnAConstant(t *testing.T) {
	for name, c := range map[string]struct {
		machine string
		code    string
		number  uint32
		target  uint64
		is      bool // it returns a number
	}{
		"mov eax,0x10203; ret":                {"x86-64", "\xb8\x03\x02\x01\x00\xc3", 0x10203, 0x10203, true},
		"endbr64; push; mov; mov eax,5; pop":  {"x86-64", "\xf3\x0f\x1e\xfa\x55\x48\x89\xe5\xb8\x05\x00\x00\x00\x5d\xc3", 5, 5, true},
		"lea rax,[rip+0x10]; ret":             {"x86-64", "\x48\x8d\x05\x10\x00\x00\x00\xc3", 0, 0x1017, false},
		"mov eax,5; and more":                 {"x86-64", "\xb8\x05\x00\x00\x00\x90\xc3", 0, 0, false},
		"movz w0,#5; ret":                     {"aarch64", "\xa0\x00\x80\x52\xc0\x03\x5f\xd6", 5, 0, true},
		"adrp x0,+0x1000; add x0,x0,#16; ret": {"aarch64", "\x00\x00\x00\xb0\x00\x40\x00\x91\xc0\x03\x5f\xd6", 0, 0x2010, false},
		"mov eax,5; ret, of another machine":  {"riscv", "\xb8\x05\x00\x00\x00\xc3", 0, 0, false},
	} {
		number, target := Returned(c.machine, []byte(c.code), 0x1000)
		if (number != nil) != c.is || c.is && *number != c.number || target != c.target {
			t.Errorf("%s: %v %#x", name, number, target)
		}
	}
}

// FuzzShapes: the quick look never says no to a function that fits, and no bytes upset either.
func FuzzShapes(f *testing.F) {
	f.Add([]byte("\x3c\x12\x74\x00\xc6\x00\x02\xb8\x10\x00\x00\x00\xc3"), true)
	f.Add([]byte("\x83\xf8\x12\x75\x02\x48\x8d\x05\x10\x00\x00\x00\xc3"), true)
	f.Add([]byte("\x1f\x48\x00\x71\x40\x00\x00\x54\xc0\x03\x5f\xd6"), false)
	f.Fuzz(func(t *testing.T, b []byte, x86 bool) {
		machine := "aarch64"
		if x86 {
			machine = "x86-64"
		}
		if len(b) > defaultSize {
			return
		}
		Returned(machine, b, 0x1000)
		code := NewDecoder(machine).Decode(b)
		if len(code) > len(b) {
			t.Fatalf("%d instructions in %d bytes", len(code), len(b))
		}
		for n, s := range asked(machine) {
			if s = s.Ready(); s.Fits(code) && !s.MayFit(machine, b) {
				t.Fatalf("shape %d fits % x, the quick look says that it cannot", n, b)
			}
		}
	})
}
