package shape

import (
	"bytes"
	"encoding/binary"
)

// MaxReturning is how many bytes of a function Returned looks at.
const MaxReturning = 32

// Returned reads a function that only returns a constant: a number, or the address of one. Both are zero for any other function.
// b begins with the function, which lies at addr.
func Returned(machine string, b []byte, addr uint64) (number *uint32, target uint64) {
	b = append(b, make([]byte, max(0, MaxReturning-len(b)))...) // the last function of a segment may be shorter
	switch machine {
	case "x86-64":
		return returnedX86(b, addr)
	case "aarch64":
		return returnedArm64(b, addr)
	}
	return nil, 0
}

// returnedX86 knows: [endbr64] [push rbp; mov rbp,rsp] mov eax,imm32 | lea rax,[rip+x] [pop rbp] ret.
func returnedX86(b []byte, addr uint64) (*uint32, uint64) {
	at := 0
	for _, skip := range [][]byte{{0xf3, 0x0f, 0x1e, 0xfa}, {0x55, 0x48, 0x89, 0xe5}} {
		if bytes.HasPrefix(b[at:], skip) {
			at += len(skip)
		}
	}
	var number *uint32
	var target uint64
	switch {
	case b[at] == 0xb8:
		n := binary.LittleEndian.Uint32(b[at+1:])
		number, at = &n, at+5
	case b[at] == 0x48 && b[at+1] == 0x8d && b[at+2] == 0x05:
		target, at = addr+uint64(at)+7+uint64(int64(int32(binary.LittleEndian.Uint32(b[at+3:])))), at+7
	default:
		return nil, 0
	}
	if b[at] == 0x5d {
		at++
	}
	if b[at] != 0xc3 {
		return nil, 0
	}
	if number != nil {
		target = uint64(*number) // a program at fixed addresses returns the address of a text the same way
	}
	return number, target
}

// returnedArm64 knows: [bti c] movz w0,#a [movk w0,#b,lsl 16] ret | adrp x0,page; add x0,x0,#off; ret.
func returnedArm64(b []byte, addr uint64) (*uint32, uint64) {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	i := 0
	if word(0) == 0xd503245f {
		i++
	}
	const ret = 0xd65f03c0
	switch {
	case word(i)&0xffe0001f == 0x52800000:
		n := word(i) >> 5 & 0xffff
		if i++; word(i)&0xffe0001f == 0x72a00000 {
			n |= word(i) >> 5 & 0xffff << 16
			i++
		}
		if word(i) == ret {
			return &n, 0
		}
	case word(i)&0x9f00001f == 0x90000000 && word(i+1)&0xffc003ff == 0x91000000 && word(i+2) == ret:
		page := int64(int32(word(i)>>5&0x7ffff<<2|word(i)>>29&3)<<11>>11) << 12
		return nil, uint64(int64((addr+uint64(4*i))&^0xfff)+page) + uint64(word(i+1)>>10&0xfff)
	}
	return nil, 0
}
