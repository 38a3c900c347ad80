package image

// Presence tells how a symbol occurs in an object.
type Presence struct {
	Defined, Imported bool
	Addr, Size        uint64
}

// Search finds many texts in one go: it calls met with each one's number and place. A sieve.Set is one.
type Search interface {
	Scan(text []byte, met func(id, at int))
	Longest() int // bytes of the longest text
}

// Wanted is a set of symbol names to look up, compiled once for all objects.
type Wanted struct {
	Names []string
	Set   Search // of the names in their order, each with the zero byte that ends it
}

func (im *Image) symbolSize() uint64 {
	if im.wide {
		return 24
	}
	return 16
}

// table is a symbol table with its strings, both as file ranges.
type table struct{ off, count, strings, size uint64 }

func (im *Image) tables(l Linking) []table {
	var out []table
	if off, count := im.dynamicSymbols(l); count > 0 {
		if at, left, ok := im.At(l.strings); ok {
			out = append(out, table{off, count, at, min(l.size, left)})
		}
	}
	for _, s := range im.sections {
		if s.kind == 2 && int(s.link) < len(im.sections) && s.Size <= uint64(im.Size) {
			str := im.sections[s.link]
			out = append(out, table{s.Off, s.Size / im.symbolSize(), str.Off, str.Size})
			break
		}
	}
	return out
}

// Symbols looks the wanted names up in .dynsym and .symtab, in bounded memory whatever the tables' size.
// complete is false when a table could not be read to its end: a name not found may then still be there.
func (im *Image) Symbols(l Linking, w *Wanted) (found map[string]Presence, complete bool) {
	found, complete = map[string]Presence{}, true
	for _, t := range im.tables(l) {
		names := im.nameOffsets(t, w)
		if names == nil || !im.matchSymbols(t, names, found) {
			complete = false
		}
	}
	return found, complete
}

const maxNameHits = 1 << 16

// nameOffsets finds where in the table's strings the wanted names end: linkers share tails, so a name may begin inside another.
func (im *Image) nameOffsets(t table, w *Wanted) map[uint32]string {
	out := map[uint32]string{}
	buf := make([]byte, min(t.size, 1<<20))
	keep := uint64(w.Set.Longest())
	for at := uint64(0); at < t.size; {
		n := min(uint64(len(buf)), t.size-at)
		if err := im.Read(buf[:n], t.strings+at); err != nil {
			return nil
		}
		w.Set.Scan(buf[:n], func(id, i int) {
			if len(out) < maxNameHits {
				out[uint32(at)+uint32(i)] = w.Names[id]
			}
		})
		if n < uint64(len(buf)) || n <= keep || at+n >= t.size {
			break
		}
		at += n - keep
	}
	return out
}

func (im *Image) matchSymbols(t table, names map[uint32]string, found map[string]Presence) bool {
	if len(names) == 0 {
		return true
	}
	width := im.symbolSize()
	buf := make([]byte, min(t.count, 1<<15)*width)
	for at := uint64(0); at < t.count; {
		n := min(uint64(len(buf))/width, t.count-at)
		if err := im.Read(buf[:n*width], t.off+at*width); err != nil {
			return false
		}
		for i := range n {
			im.matchSymbol(buf[i*width:(i+1)*width], names, found)
		}
		at += n
	}
	return true
}

func (im *Image) matchSymbol(b []byte, names map[uint32]string, found map[string]Presence) {
	name, ok := names[im.order.Uint32(b)]
	if !ok {
		return
	}
	shndx, value, size := im.order.Uint16(b[14:]), im.word(b[4:]), uint64(im.order.Uint32(b[8:]))
	if im.wide {
		shndx, value, size = im.order.Uint16(b[6:]), im.order.Uint64(b[8:]), im.order.Uint64(b[16:])
	}
	p := found[name]
	if shndx == 0 {
		p.Imported = true
	} else {
		p.Defined, p.Addr, p.Size = true, value, size
	}
	found[name] = p
}

// Read fills b from the file or fails.
func (im *Image) Read(b []byte, off uint64) error {
	if off > uint64(im.Size) || uint64(len(b)) > uint64(im.Size)-off {
		return ErrShort
	}
	if n, err := im.File.ReadAt(b, int64(off)); n < len(b) {
		if err == nil {
			err = ErrShort
		}
		return err
	}
	return nil
}
