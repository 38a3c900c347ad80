package image

import "bytes"

// Packer names what packed the file, "" when nothing speaks for it: then code and texts are not what will run.
func (im *Image) Packer() string {
	if n := len(im.segments); n > 0 {
		table := uint64(64 + 56*n)
		if !im.wide {
			table = uint64(52 + 32*n)
		}
		if b, err := im.Bytes(table, 12); err == nil && bytes.Equal(b[4:8], []byte("UPX!")) {
			return "UPX"
		}
	}
	if len(im.sections) > 0 {
		return ""
	}
	for _, s := range im.segments {
		if s.kind == typeLoad && s.flags&flagExec != 0 && (s.flags&flagWrite != 0 || s.mem > 4*s.Size+1<<16) {
			return "it has no sections, and an executable segment that is filled when the program starts"
		}
	}
	return ""
}
