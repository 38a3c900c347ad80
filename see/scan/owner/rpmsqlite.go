package owner

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
)

var errSQLite = errors.New("not an rpm database of format SQLite, or a damaged one")

// The parts of SQLite's file format (fileformat2.html) that table Packages (hnum, blob) needs: tables are trees of pages whose leaves hold
// records, and what does not fit lies in chains of overflow pages. Neither lock nor journal is looked at: a write under way may be missed,
// never waited for.
const (
	sqliteHead     = 100 // before the tree on page 1
	sqliteLeaf     = 0x0d
	sqliteInterior = 0x05
	sqliteDepth    = 20
)

// sqliteFile is an open database of format SQLite.
type sqliteFile struct {
	r      io.ReaderAt
	page   int64
	usable int64 // of each page
	pages  int64
	left   int64 // how many pages may still be read: each belongs to one place
	buf    []byte
	record []byte
}

// eachSQLite reads all blobs of table Packages.
func eachSQLite(ctx context.Context, r io.ReaderAt, size int64, yield func([]byte) error) error {
	var head [sqliteHead]byte
	if _, err := r.ReadAt(head[:], 0); err != nil || string(head[:16]) != "SQLite format 3\x00" || binary.BigEndian.Uint32(head[56:]) != 1 {
		return errSQLite
	}
	f := &sqliteFile{r: r, page: int64(binary.BigEndian.Uint16(head[16:]))}
	if f.page == 1 {
		f.page = 1 << 16
	}
	f.usable = f.page - int64(head[20])
	if f.page < 512 || f.page&(f.page-1) != 0 || f.usable < 480 {
		return errSQLite
	}
	f.pages = size / f.page
	f.left = f.pages
	root := int64(0)
	err := f.table(ctx, 1, 0, func(record []byte) error {
		columns, err := sqliteColumns(record, 5)
		if err == nil && string(columns[0].bytes) == "table" && string(columns[1].bytes) == "Packages" {
			root = columns[3].number()
		}
		return err
	})
	if err != nil {
		return err
	}
	f.left = f.pages
	return f.table(ctx, root, 0, func(record []byte) error {
		columns, err := sqliteColumns(record, 2)
		if err != nil || !columns[1].blob {
			return errSQLite
		}
		return yield(columns[1].bytes)
	})
}

// table yields the records below one page, in their order.
func (f *sqliteFile) table(ctx context.Context, number int64, depth int, yield func(record []byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.left--; f.left < 0 || depth > sqliteDepth || number < 1 || number > f.pages {
		return errSQLite
	}
	page := make([]byte, f.page)
	if _, err := f.r.ReadAt(page, (number-1)*f.page); err != nil {
		return errSQLite
	}
	at := 0
	if number == 1 {
		at = sqliteHead
	}
	kind, cells, pointers := page[at], int(binary.BigEndian.Uint16(page[at+3:])), at+8
	if kind == sqliteInterior {
		pointers = at + 12
	} else if kind != sqliteLeaf {
		return errSQLite
	}
	if pointers+2*cells > int(f.usable) {
		return errSQLite
	}
	for i := range cells {
		cell := int64(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if cell+4 > f.usable {
			return errSQLite
		}
		var err error
		if kind == sqliteInterior {
			err = f.table(ctx, int64(binary.BigEndian.Uint32(page[cell:])), depth+1, yield)
		} else if f.record, err = f.payload(page[cell:f.usable], f.record[:0]); err == nil {
			err = yield(f.record)
		}
		if err != nil {
			return err
		}
	}
	if kind == sqliteInterior {
		return f.table(ctx, int64(binary.BigEndian.Uint32(page[at+8:])), depth+1, yield)
	}
	return nil
}

// payload appends the record of a leaf's cell, with what lies on overflow pages.
func (f *sqliteFile) payload(cell, out []byte) ([]byte, error) {
	total, cell, ok := sqliteVarint(cell)
	_, cell, is := sqliteVarint(cell) // the row's number
	if !ok || !is || total < 0 || total > maxHeader {
		return out, errSQLite
	}
	local := total
	if most := f.usable - 35; total > most {
		least := (f.usable-12)*32/255 - 23
		if local = least + (total-least)%(f.usable-4); local > most {
			local = least
		}
		if local+4 > int64(len(cell)) {
			return out, errSQLite
		}
	}
	if local > int64(len(cell)) {
		return out, errSQLite
	}
	out = append(out, cell[:local]...)
	if local == total {
		return out, nil
	}
	if f.buf == nil {
		f.buf = make([]byte, f.page)
	}
	for next := int64(binary.BigEndian.Uint32(cell[local:])); int64(len(out)) < total; next = int64(binary.BigEndian.Uint32(f.buf)) {
		if f.left--; f.left < 0 || next < 1 || next > f.pages {
			return out, errSQLite
		}
		if _, err := f.r.ReadAt(f.buf, (next-1)*f.page); err != nil {
			return out, errSQLite
		}
		out = append(out, f.buf[4:4+min(f.usable-4, total-int64(len(out)))]...)
	}
	return out, nil
}

// sqliteColumn is one value of a record.
type sqliteColumn struct {
	bytes []byte
	kind  int64 // serial type
	blob  bool
}

// number is a whole number's value, 0 for other values.
func (c sqliteColumn) number() (n int64) {
	switch {
	case c.kind == 9:
		return 1
	case c.kind < 1 || c.kind > 6:
		return 0
	}
	n = int64(int8(c.bytes[0]))
	for _, b := range c.bytes[1:] {
		n = n<<8 | int64(b)
	}
	return n
}

// sqliteColumns cuts a record into exactly so many values.
func sqliteColumns(record []byte, want int) ([]sqliteColumn, error) {
	length, _, ok := sqliteVarint(record)
	if !ok || length < 1 || length > int64(len(record)) {
		return nil, errSQLite
	}
	_, head, _ := sqliteVarint(record[:length])
	body := record[length:]
	var out []sqliteColumn
	for len(head) > 0 && len(out) <= want {
		var c sqliteColumn
		if c.kind, head, ok = sqliteVarint(head); !ok || c.kind < 0 {
			return nil, errSQLite
		}
		n := sqliteSize(c.kind)
		if n < 0 || n > int64(len(body)) {
			return nil, errSQLite
		}
		c.bytes, body, c.blob = body[:n], body[n:], c.kind >= 12 && c.kind%2 == 0
		out = append(out, c)
	}
	if len(out) != want {
		return nil, errSQLite
	}
	return out, nil
}

// sqliteSize is how many bytes a value of a serial type takes, -1 for a type that does not exist.
func sqliteSize(kind int64) int64 {
	switch {
	case kind >= 12:
		return (kind - 12) / 2
	case kind >= 10:
		return -1
	}
	return []int64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}[kind]
}

// sqliteVarint reads a number of one to nine bytes.
func sqliteVarint(b []byte) (n int64, rest []byte, ok bool) {
	for i, c := range b {
		if i == 8 {
			return n<<8 | int64(c), b[9:], true
		}
		n = n<<7 | int64(c&0x7f)
		if c < 0x80 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}
