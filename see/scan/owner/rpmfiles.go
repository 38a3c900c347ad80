package owner

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
)

var (
	errNDB = errors.New("not an rpm database of format NDB, or a damaged one")
	errBDB = errors.New("not an rpm database of format Berkeley DB, or a damaged one")
)

// eachNDB reads rpm's own format (lib/backend/ndb/rpmpkg.c): a header of 32 bytes, pages of 4096 bytes with slots of 16 (magic "Slot",
// package, block offset, block count; blocks are 16 bytes), and at each offset a blob header (magic "BlbS", package, checksum, length).
func eachNDB(ctx context.Context, r io.ReaderAt, size int64, yield func([]byte) error) error {
	const page, slot, maxPages = 4096, 16, 65_536
	var head [32]byte
	if _, err := r.ReadAt(head[:], 0); err != nil || string(head[:4]) != "RpmP" || binary.LittleEndian.Uint32(head[4:]) != 0 {
		return errNDB
	}
	pages := binary.LittleEndian.Uint32(head[12:])
	if pages == 0 || pages > maxPages || int64(pages)*page > size {
		return errNDB
	}
	slots := make([]byte, int64(pages)*page)
	if _, err := r.ReadAt(slots, 0); err != nil {
		return errNDB
	}
	var buf []byte
	for at := 2 * slot; at < len(slots); at += slot {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := slots[at:]
		pkg, off := binary.LittleEndian.Uint32(s[4:]), int64(binary.LittleEndian.Uint32(s[8:]))*slot
		if string(s[:4]) != "Slot" || pkg == 0 {
			continue // free
		}
		var blob [16]byte
		if _, err := r.ReadAt(blob[:], off); err != nil || string(blob[:4]) != "BlbS" || binary.LittleEndian.Uint32(blob[4:]) != pkg {
			return errNDB
		}
		n := int64(binary.LittleEndian.Uint32(blob[12:]))
		var err error
		if buf, err = readPart(r, buf, off+int64(len(blob)), n, size); err != nil {
			return errNDB
		}
		if err := yield(buf); err != nil {
			return err
		}
	}
	return nil
}

// readPart reads n bytes that must lie within the file.
func readPart(r io.ReaderAt, buf []byte, off, n, size int64) ([]byte, error) {
	if n < 0 || n > maxHeader || off < 0 || off+n > size {
		return buf, io.ErrUnexpectedEOF
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if n == 0 {
		return buf, nil
	}
	_, err := r.ReadAt(buf, off)
	return buf, err
}

// The parts of Berkeley DB's hash format that rpm uses (db_page.h): values are large, so they lie in chains of overflow pages, to which
// the items of hash pages point.
const (
	bdbMagic      = 0x00061561
	bdbHead       = 26 // of every page
	bdbHashOld    = 2  // page types
	bdbOverflow   = 7
	bdbHash       = 13
	bdbOffPage    = 3 // item type: lies on overflow pages
	bdbItemLength = 12
)

// bdb is an open database of format Berkeley DB.
type bdb struct {
	r     io.ReaderAt
	order binary.ByteOrder
	page  int64
	pages int64
}

// eachBDB reads all values of a hash database. Items are key and value in turn, and values are the headers.
func eachBDB(ctx context.Context, r io.ReaderAt, size int64, yield func([]byte) error) error {
	db, err := openBDB(r, size)
	if err != nil {
		return err
	}
	page := make([]byte, db.page)
	overflow := make([]byte, db.page)
	var blob []byte
	for at := int64(1); at < db.pages; at++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := r.ReadAt(page, at*db.page); err != nil {
			return errBDB
		}
		if page[25] != bdbHash && page[25] != bdbHashOld {
			continue
		}
		for _, item := range db.offPage(page) {
			if blob, err = db.chain(item, overflow, blob[:0]); err != nil {
				return err
			}
			if err := yield(blob); err != nil {
				return err
			}
		}
	}
	return nil
}

func openBDB(r io.ReaderAt, size int64) (*bdb, error) {
	var head [512]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, errBDB
	}
	db := &bdb{r: r, order: binary.LittleEndian}
	switch uint32(bdbMagic) {
	case binary.LittleEndian.Uint32(head[12:]):
	case binary.BigEndian.Uint32(head[12:]):
		db.order = binary.BigEndian
	default:
		return nil, errBDB
	}
	db.page = int64(db.order.Uint32(head[20:]))
	if db.page < 512 || db.page > 65536 || db.page&(db.page-1) != 0 {
		return nil, errBDB
	}
	db.pages = min(int64(db.order.Uint32(head[32:]))+1, size/db.page)
	return db, nil
}

// offPageItem is where a value's chain begins, and its length.
type offPageItem struct {
	page   int64
	length int64
}

// offPage lists the values of a hash page that lie on overflow pages.
func (db *bdb) offPage(page []byte) []offPageItem {
	count := int(db.order.Uint16(page[20:]))
	var out []offPageItem
	for i := 1; i < count; i += 2 { // keys have even places
		at := bdbHead + i*2
		if at+2 > len(page) {
			break
		}
		off := int(db.order.Uint16(page[at:]))
		if off+bdbItemLength > len(page) || page[off] != bdbOffPage {
			continue
		}
		out = append(out, offPageItem{page: int64(db.order.Uint32(page[off+4:])), length: int64(db.order.Uint32(page[off+8:]))})
	}
	return out
}

// chain joins the overflow pages of one value. Each page gives at least one byte, so a loop in the chain ends with the length.
func (db *bdb) chain(item offPageItem, page, into []byte) ([]byte, error) {
	if item.length > maxHeader {
		return into, errBDB
	}
	for next := item.page; int64(len(into)) < item.length; {
		if next <= 0 || next >= db.pages {
			return into, errBDB
		}
		if _, err := db.r.ReadAt(page, next*db.page); err != nil || page[25] != bdbOverflow {
			return into, errBDB
		}
		n := min(int64(db.order.Uint16(page[22:])), item.length-int64(len(into)), db.page-bdbHead)
		if n <= 0 {
			return into, errBDB
		}
		into = append(into, page[bdbHead:bdbHead+n]...)
		next = int64(db.order.Uint32(page[16:]))
	}
	return into, nil
}
