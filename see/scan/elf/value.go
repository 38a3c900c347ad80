package elf

import (
	"bytes"
	"regexp"

	"staunch/see/scan/elf/image"
	"staunch/see/scan/elf/rules"
	"staunch/see/scan/elf/shape"
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
	b, err := im.Bytes(off, min(left, shape.MaxReturning))
	if err != nil {
		return nil, 0, true
	}
	number, target = shape.Returned(im.Machine(), b, addr)
	return number, target, true
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
