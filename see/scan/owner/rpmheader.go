package owner

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The tags of an rpm header that matter here (rpm's lib/rpmtag.h).
const (
	tagName        = 1000
	tagVersion     = 1001
	tagRelease     = 1002
	tagEpoch       = 1003
	tagArch        = 1022
	tagFileDigests = 1035
	tagSourceRPM   = 1044
	tagDirIndexes  = 1116
	tagBaseNames   = 1117
	tagDirNames    = 1118
	tagDigestAlgo  = 5011
	typeInt32      = 4
	typeString     = 6
	typeArray      = 8
	maxTags        = 65_535
	digestSHA256   = 8
)

var errRPMHeader = errors.New("an rpm header is malformed")

// rpmHeader is one package's header as a database holds it: an index of tags, then the store that they point into.
type rpmHeader struct {
	tags  map[uint32]rpmTag
	store []byte
}

type rpmTag struct{ kind, off, count uint32 }

// parseRPMHeader reads "index length, store length, index entries of 16 bytes, store", all big-endian.
func parseRPMHeader(b []byte) (*rpmHeader, error) {
	if len(b) < 8 {
		return nil, errRPMHeader
	}
	count, size := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if count > maxTags || uint64(8)+uint64(count)*16+uint64(size) > uint64(len(b)) {
		return nil, errRPMHeader
	}
	h := &rpmHeader{tags: make(map[uint32]rpmTag, 16), store: b[8+count*16:][:size]}
	for i := range count {
		e := b[8+i*16:]
		tag := binary.BigEndian.Uint32(e)
		if tag >= tagName { // below are regions and signatures
			h.tags[tag] = rpmTag{binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])}
		}
	}
	return h, nil
}

// text is a tag's string, "" when the package has none.
func (h *rpmHeader) text(tag uint32) string {
	t, ok := h.tags[tag]
	if !ok || t.kind != typeString || uint64(t.off) >= uint64(len(h.store)) {
		return ""
	}
	s, _, _ := bytes.Cut(h.store[t.off:], []byte{0})
	return string(s)
}

// eachText calls yield for every string of a list with its place; the bytes point into the header.
func (h *rpmHeader) eachText(tag uint32, yield func(i int, s []byte)) {
	t, ok := h.tags[tag]
	if !ok || t.kind != typeArray || uint64(t.off) >= uint64(len(h.store)) {
		return
	}
	rest := h.store[t.off:]
	for i := 0; i < int(t.count); i++ {
		s, after, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return
		}
		yield(i, s)
		rest = after
	}
}

// number is one of a tag's 32-bit numbers.
func (h *rpmHeader) number(tag uint32, i int) (uint32, bool) {
	t, ok := h.tags[tag]
	at := uint64(t.off) + uint64(i)*4
	if !ok || t.kind != typeInt32 || i >= int(t.count) || at+4 > uint64(len(h.store)) {
		return 0, false
	}
	return binary.BigEndian.Uint32(h.store[at:]), true
}

// pkg is the package that a header describes. The version carries the epoch where there is one.
func (h *rpmHeader) pkg() Package {
	p := Package{Name: h.text(tagName), Version: h.text(tagVersion), Arch: h.text(tagArch)}
	if release := h.text(tagRelease); release != "" {
		p.Version += "-" + release
	}
	epoch := ""
	if n, ok := h.number(tagEpoch, 0); ok && n > 0 {
		epoch = fmt.Sprintf("%d:", n)
	}
	p.Version = epoch + p.Version
	p.Source, p.SourceVersion = splitSourceRPM(h.text(tagSourceRPM))
	if p.SourceVersion != "" {
		p.SourceVersion = epoch + p.SourceVersion
	}
	return p
}

// splitSourceRPM splits "openssl-3.0.7-27.el9.src.rpm" at the last two dashes.
func splitSourceRPM(file string) (name, version string) {
	file = strings.TrimSuffix(strings.TrimSuffix(file, ".src.rpm"), ".nosrc.rpm")
	release := strings.LastIndexByte(file, '-')
	if release <= 0 {
		return "", ""
	}
	at := strings.LastIndexByte(file[:release], '-')
	if at <= 0 {
		return "", ""
	}
	return file[:at], file[at+1:]
}

// match enters what the package owns of the wanted paths into out.
func (h *rpmHeader) match(wanted map[string][]string, out map[string]*Match) {
	var dirs []string
	h.eachText(tagDirNames, func(_ int, s []byte) { dirs = append(dirs, string(s)) })
	hits := map[int][]string{}
	var name []byte
	h.eachText(tagBaseNames, func(i int, s []byte) {
		dir, ok := h.number(tagDirIndexes, i)
		if !ok || int(dir) >= len(dirs) {
			return
		}
		name = append(append(name[:0], dirs[dir]...), s...)
		if paths := wanted[string(name)]; paths != nil {
			hits[i] = paths
		}
	})
	if len(hits) == 0 {
		return
	}
	pkg := h.pkg()
	algorithm, _ := h.number(tagDigestAlgo, 0)
	for _, paths := range hits {
		for _, path := range paths {
			out[path] = &Match{Package: pkg, SumKind: "sha256"}
		}
	}
	if algorithm != digestSHA256 {
		return // packages of old distributions carry MD5, which is not computed here: intact stays unknown
	}
	h.eachText(tagFileDigests, func(i int, s []byte) {
		for _, path := range hits[i] {
			out[path].Sum = strings.ToLower(string(s))
		}
	})
}
