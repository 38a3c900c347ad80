package elf

import (
	"bytes"
	"encoding/binary"
	"regexp"

	"staunch/see/scan/elf/image"
	"staunch/see/scan/elf/rules"
)

// valueVersion reads the version out of a symbol: a number or text in data, or a function that does nothing but return one.
func (t *trace) valueVersion(i int, im *image.Image) (versionText, bool) {
	for _, v := range t.a.rules[i].Values {
		p := t.symbols[v.Symbol]
		if !p.Defined {
			continue
		}
		if version, off, ok := value(im, v, p.Addr); ok {
			return versionText{sighting{v.Symbol + " gives " + version, off}, version, true}, true
		}
	}
	return versionText{}, false
}

func value(im *image.Image, v rules.Value, addr uint64) (string, uint64, bool) {
	number, target, function := returned(im, addr)
	if function && v.Read == "number" && number != nil {
		return checked(v.Number(*number), addr, im)
	}
	if function && target == 0 {
		return "", 0, false
	}
	if !function {
		target = addr
	}
	off, left, ok := im.At(target)
	if !ok || left < 4 {
		return "", 0, false
	}
	b, err := im.Bytes(off, min(left, 64))
	if err != nil {
		return "", 0, false
	}
	switch v.Read {
	case "number":
		return checked(v.Number(im.Uint32(b)), target, im)
	}
	version := image.Text(b, 0, 32)
	if re, err := regexp.Compile(v.Pattern); v.Pattern != "" && err == nil {
		version = re.FindString(version)
	}
	return checked(version, target, im)
}

// versionShape is what every version must look like, whatever gave it.
const versionShape = `^\d{1,3}(\.\d{1,5}){1,3}([-_.+~a-z0-9]{0,24})$`

func checked(version string, addr uint64, im *image.Image) (string, uint64, bool) {
	ok, err := regexp.MatchString(versionShape, version)
	off, _, mapped := im.At(addr)
	return version, off, ok && err == nil && mapped && version != "0.0.0"
}

// returned reads a function that only returns a constant: a number, or the address of one. function is false for data.
func returned(im *image.Image, addr uint64) (number *uint32, target uint64, function bool) {
	off, left, ok := im.At(addr)
	if !ok || !im.IsCode(addr) {
		return nil, 0, false
	}
	b, err := im.Bytes(off, min(left, 32))
	if err != nil {
		return nil, 0, true
	}
	b = append(b, make([]byte, 32-len(b))...) // the last function of a segment may be shorter
	switch im.Machine() {
	case "x86-64":
		number, target = returnedX86(b, addr)
	case "aarch64":
		number, target = returnedArm64(b, addr)
	}
	return number, target, true
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

// lone looks for a version that stands alone: no text before it, a zero byte behind it. It is believed only when the object holds
// exactly one that is not taken by another component.
func lone(im *image.Image, pattern string, taken map[string]bool) versionText {
	re, err := regexp.Compile(`^(?:` + pattern + `)$`)
	if err != nil {
		return versionText{}
	}
	found := map[string]uint64{}
	for _, s := range im.Constant() {
		for at := uint64(0); at < s.Size && len(found) < 2; at += image.Chunk {
			b, err := im.Bytes(s.Off+at, min(image.Chunk+64, s.Size-at))
			if err != nil {
				return versionText{}
			}
			loneIn(b, s.Off+at, re, taken, found)
		}
	}
	if len(found) == 1 {
		for v, off := range found {
			return versionText{sighting: sighting{v, off}, version: v}
		}
	}
	return versionText{}
}

func loneIn(b []byte, base uint64, re *regexp.Regexp, taken map[string]bool, found map[string]uint64) {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '.')
		if i < 0 {
			return
		}
		at += i + 1
		from := at - 1
		for from > 0 && at-from < 5 && b[from-1] >= '0' && b[from-1] <= '9' {
			from--
		}
		if from == at-1 || from == 0 || b[from-1] >= ' ' && b[from-1] < 0x7f {
			continue
		}
		s := image.Text(b, uint64(from), 24)
		if re.MatchString(s) && from+len(s) < len(b) && b[from+len(s)] == 0 && !taken[s] {
			found[s] = base + uint64(from)
		}
	}
}
