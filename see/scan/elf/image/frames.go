package image

import (
	"cmp"
	"errors"
	"slices"
)

// Function is the bounds of one function: addresses, end exclusive.
type Function struct{ From, To uint64 }

const maxFunctions = 4 << 20

// Functions reads the bounds of all functions from .eh_frame, which strip keeps because unwinding needs it, in the order of addresses.
// An error says why there are none to be had.
func (im *Image) Functions() ([]Function, error) {
	b, addr, err := im.frames()
	if err != nil {
		return nil, err
	}
	r := frameReader{im: im, b: b, addr: addr, encodings: map[uint64]byte{}}
	list := r.all()
	if len(list) == 0 {
		return nil, errors.New("an unwind table without functions")
	}
	slices.SortFunc(list, func(a, b Function) int { return cmp.Compare(a.From, b.From) })
	return list, nil
}

// frames finds .eh_frame through its index (a program header), or through the section table.
func (im *Image) frames() (b []byte, addr uint64, err error) {
	for _, s := range im.segments {
		if s.kind != typeFrames {
			continue
		}
		if addr := im.framesAddress(s); addr != 0 {
			if off, left, ok := im.At(addr); ok {
				b, err := im.Bytes(off, min(left, im.framesSize(addr, left), maxPiece))
				return b, addr, err
			}
		}
	}
	if s, ok := im.Labelled(".eh_frame"); ok {
		b, err := im.Bytes(s.Off, s.Size)
		return b, s.addr, err
	}
	return nil, 0, errors.New("no unwind table")
}

// framesSize is the size of .eh_frame where the section table tells it.
func (im *Image) framesSize(addr, left uint64) uint64 {
	if s, ok := im.Labelled(".eh_frame"); ok && s.addr == addr {
		return s.Size
	}
	return left
}

func (im *Image) framesAddress(s Segment) uint64 {
	head, err := im.Bytes(s.Off, min(s.Size, 16))
	if err != nil || len(head) < 8 || head[0] != 1 {
		return 0
	}
	r := frameReader{im: im, b: head, addr: s.vaddr, data: s.vaddr}
	p, _, ok := r.pointer(4, head[1])
	if !ok {
		return 0
	}
	return p
}

// frameReader walks the chain of common (CIE) and per-function (FDE) entries.
type frameReader struct {
	im        *Image
	b         []byte
	addr      uint64 // address of b[0]
	data      uint64 // what data-relative pointers count from
	encodings map[uint64]byte
}

func (r *frameReader) all() []Function {
	var out []Function
	for at := uint64(0); at+8 <= uint64(len(r.b)) && len(out) < maxFunctions; {
		n, head := uint64(r.im.order.Uint32(r.b[at:])), uint64(4)
		if n == 0 {
			break
		}
		if n == 0xffffffff {
			if at+20 > uint64(len(r.b)) {
				break
			}
			n, head = r.im.order.Uint64(r.b[at+4:]), 12
		}
		body := at + head
		if n < 4 || n > uint64(len(r.b))-body {
			break
		}
		if f, ok := r.entry(body, body+n); ok {
			out = append(out, f)
		}
		at = body + n
	}
	return out
}

// entry reads one FDE; a CIE only leaves its pointer encoding.
func (r *frameReader) entry(from, to uint64) (Function, bool) {
	back := uint64(r.im.order.Uint32(r.b[from:]))
	if back == 0 {
		r.encodings[from-4] = r.encoding(from+4, to)
		return Function{}, false
	}
	if back > from {
		return Function{}, false
	}
	enc, known := r.encodings[from-back]
	if !known {
		return Function{}, false
	}
	start, at, ok := r.pointer(from+4, enc)
	if !ok {
		return Function{}, false
	}
	length, _, ok := r.pointer(at, enc&0x0f)
	if !ok || length == 0 || length > 1<<28 || start+length < start {
		return Function{}, false
	}
	return Function{start, start + length}, true
}

// encoding returns how a CIE's functions write their pointers ('R' in its augmentation string); absolute when it says nothing.
func (r *frameReader) encoding(at, to uint64) byte {
	if at >= to {
		return 0
	}
	augmentation := Text(r.b[:to], at+1, 16)
	at += 1 + uint64(len(augmentation)) + 1
	if augmentation == "" || augmentation[0] != 'z' {
		return 0
	}
	for range 4 { // code alignment, data alignment, return register, length of the augmentation data
		at = r.skipLEB(at, to)
	}
	for _, c := range augmentation[1:] {
		if at >= to {
			return 0
		}
		switch c {
		case 'R':
			return r.b[at]
		case 'L':
			at++
		case 'P':
			_, next, ok := r.pointer(at+1, r.b[at])
			if !ok {
				return 0
			}
			at = next
		}
	}
	return 0
}

func (r *frameReader) skipLEB(at, to uint64) uint64 {
	for at < to && r.b[at]&0x80 != 0 {
		at++
	}
	return at + 1
}

// pointer reads an encoded pointer (DWARF exception header encodings as the Linux Standard Base lists them).
func (r *frameReader) pointer(at uint64, enc byte) (value, next uint64, ok bool) {
	size := map[byte]uint64{0: 8, 2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8}[enc&0x0f]
	if enc&0x0f == 0 && !r.im.wide {
		size = 4
	}
	if size == 0 || at > uint64(len(r.b)) || size > uint64(len(r.b))-at {
		return 0, 0, false
	}
	switch b := r.b[at:]; {
	case size == 2 && enc&8 != 0:
		value = uint64(int64(int16(r.im.order.Uint16(b))))
	case size == 2:
		value = uint64(r.im.order.Uint16(b))
	case size == 4 && enc&8 != 0:
		value = uint64(int64(int32(r.im.order.Uint32(b))))
	case size == 4:
		value = uint64(r.im.order.Uint32(b))
	default:
		value = r.im.order.Uint64(b)
	}
	switch enc & 0x70 {
	case 0:
	case 0x10:
		value += r.addr + at
	case 0x30:
		value += r.data
	default:
		return 0, 0, false
	}
	return value, at + size, true
}
