package feed

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"staunch/fault"
	"staunch/see/advisory"
)

// A set file holds one source's advisories, cut into one compressed chunk per thing that they speak about, so that a scan reads only what
// its components need. Layout: magic, header (JSON), chunks, index by thing, index by advisory id, trailer. All numbers are little-endian.
const (
	magic       = "staunch-advisories-1\n"
	trailerSize = 8 + 8 + 4 + 4 + 4
	entrySize   = 8 + 8 + 4 + 4 + 4
	idSize      = 8 + 4
	maxHeader   = 1 << 20
	maxChunk    = 256 << 20 // bytes of JSON that one thing may unpack to
)

// header is what a set file says of itself.
type header struct {
	Source     string               `json:"source"`
	URL        string               `json:"url"`
	ETag       string               `json:"etag,omitempty"`
	SHA256     string               `json:"sha256"`  // of what was downloaded
	Date       time.Time            `json:"date"`    // of the data, as its server told
	Fetched    time.Time            `json:"fetched"` // when
	Records    int                  `json:"records"`
	Skipped    int                  `json:"skipped,omitempty"` // records that could not be read
	Ecosystems map[string]time.Time `json:"ecosystems,omitempty"`
	Exploited  []string             `json:"exploited,omitempty"` // the known-exploited list is small enough to live here
}

type entry struct {
	hash     uint64
	offset   uint64
	size     uint32 // compressed
	unpacked uint32
	crc      uint32 // of the compressed bytes
}

func hashOf(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return h.Sum64()
}

// builder collects advisories in a scratch file and then writes a set file; memory stays at a few dozen bytes per record.
type builder struct {
	scratch *os.File
	out     *bufio.Writer
	at      int64
	keys    map[advisory.Key]int
	list    []advisory.Key
	pieces  []piece
	records int
}

type piece struct {
	key  int
	at   int64
	size int
	ids  []uint64 // of its id and aliases
}

func newBuilder(dir string) (*builder, error) {
	f, err := os.CreateTemp(dir, ".scratch-*")
	if err != nil {
		return nil, err
	}
	return &builder{scratch: f, out: bufio.NewWriterSize(f, 1<<20), keys: map[advisory.Key]int{}}, nil
}

func (b *builder) close() {
	b.scratch.Close()
	os.Remove(b.scratch.Name())
}

// add keeps one advisory under each thing that it speaks about.
func (b *builder) add(a advisory.Advisory) error {
	b.records++
	affects := a.Affects
	slices.SortStableFunc(affects, func(x, y advisory.Affected) int {
		return cmp.Or(strings.Compare(x.Ecosystem, y.Ecosystem), strings.Compare(x.Name, y.Name))
	})
	for from := 0; from < len(affects); {
		to := from + 1
		for to < len(affects) && affects[to].Ecosystem == affects[from].Ecosystem && affects[to].Name == affects[from].Name {
			to++
		}
		one := a
		one.Affects = affects[from:to]
		if err := b.keep(advisory.Key{Ecosystem: affects[from].Ecosystem, Name: affects[from].Name}, one); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (b *builder) keep(key advisory.Key, a advisory.Advisory) error {
	at, known := b.keys[key]
	if !known {
		at = len(b.list)
		b.keys[key] = at
		b.list = append(b.list, key)
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	ids := []uint64{hashOf(strings.ToUpper(a.ID))}
	for _, alias := range a.Aliases {
		ids = append(ids, hashOf(strings.ToUpper(alias)))
	}
	b.pieces = append(b.pieces, piece{at, b.at, len(raw), ids})
	b.at += int64(len(raw))
	_, err = b.out.Write(raw)
	return err
}

// chunk is what one thing's chunk unpacks to.
type chunk struct {
	Ecosystem  string              `json:"ecosystem"`
	Name       string              `json:"name"`
	Advisories []advisory.Advisory `json:"advisories"`
}

// write makes the set file at path; it is complete and on disk when write returns.
func (b *builder) write(path string, h header) error {
	if err := b.out.Flush(); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	w := &counter{w: bufio.NewWriterSize(f, 1<<20)}
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}
	w.bytes([]byte(magic))
	w.number(uint32(len(head)))
	w.bytes(head)
	entries, ids, err := b.chunks(w)
	if err != nil {
		return err
	}
	w.index(entries, ids)
	if w.err != nil {
		return w.err
	}
	if err := w.w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

type idEntry struct {
	hash uint64
	at   uint32 // of the entry in the sorted index
}

func (b *builder) chunks(w *counter) ([]entry, []idEntry, error) {
	sort.SliceStable(b.pieces, func(i, j int) bool { return b.pieces[i].key < b.pieces[j].key })
	entries := make([]entry, 0, len(b.list))
	ids := map[uint64][]uint64{} // hash of thing to hashes of ids
	for from := 0; from < len(b.pieces); {
		to := from
		for to < len(b.pieces) && b.pieces[to].key == b.pieces[from].key {
			to++
		}
		key := b.list[b.pieces[from].key]
		e, err := b.chunk(w, key, b.pieces[from:to])
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, e)
		for _, p := range b.pieces[from:to] {
			ids[e.hash] = append(ids[e.hash], p.ids...)
		}
		from = to
	}
	slices.SortFunc(entries, func(x, y entry) int { return cmp.Compare(x.hash, y.hash) })
	var list []idEntry
	for i, e := range entries {
		for _, id := range ids[e.hash] {
			list = append(list, idEntry{id, uint32(i)})
		}
	}
	slices.SortFunc(list, func(x, y idEntry) int { return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(x.at, y.at)) })
	return entries, slices.Compact(list), nil
}

func (b *builder) chunk(w *counter, key advisory.Key, pieces []piece) (entry, error) {
	var raw bytes.Buffer
	head, err := json.Marshal(chunk{Ecosystem: key.Ecosystem, Name: key.Name})
	if err != nil {
		return entry{}, err
	}
	raw.Write(bytes.TrimSuffix(head, []byte("null}")))
	raw.WriteByte('[')
	for i, p := range pieces {
		if i > 0 {
			raw.WriteByte(',')
		}
		if _, err := io.Copy(&raw, io.NewSectionReader(b.scratch, p.at, int64(p.size))); err != nil {
			return entry{}, err
		}
	}
	raw.WriteString("]}")
	if raw.Len() > maxChunk {
		return entry{}, fault.New(fault.Corrupt, "more than %d MB of advisories about %s", maxChunk>>20, key.Name)
	}
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return entry{}, err
	}
	if _, err := z.Write(raw.Bytes()); err != nil {
		return entry{}, err
	}
	if err := z.Close(); err != nil {
		return entry{}, err
	}
	e := entry{hashOf(key.Ecosystem, key.Name), uint64(w.n), uint32(packed.Len()), uint32(raw.Len()), crc32.ChecksumIEEE(packed.Bytes())}
	w.bytes(packed.Bytes())
	return e, nil
}

// counter writes little-endian numbers and remembers where it is and what went wrong first.
type counter struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (c *counter) bytes(b []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = err
}

func (c *counter) number(n uint32) { c.bytes(binary.LittleEndian.AppendUint32(nil, n)) }
func (c *counter) long(n uint64)   { c.bytes(binary.LittleEndian.AppendUint64(nil, n)) }

func (c *counter) index(entries []entry, ids []idEntry) {
	var b []byte
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint64(b, e.hash)
		b = binary.LittleEndian.AppendUint64(b, e.offset)
		b = binary.LittleEndian.AppendUint32(b, e.size)
		b = binary.LittleEndian.AppendUint32(b, e.unpacked)
		b = binary.LittleEndian.AppendUint32(b, e.crc)
	}
	at := c.n
	c.bytes(b)
	var i []byte
	for _, e := range ids {
		i = binary.LittleEndian.AppendUint64(i, e.hash)
		i = binary.LittleEndian.AppendUint32(i, e.at)
	}
	idAt := c.n
	c.bytes(i)
	c.long(uint64(at))
	c.long(uint64(idAt))
	c.number(uint32(len(entries)))
	c.number(uint32(len(ids)))
	c.number(crc32.Update(crc32.ChecksumIEEE(b), crc32.IEEETable, i))
}

// setFile is an open set file.
type setFile struct {
	header
	r       io.ReaderAt
	size    int64
	entries int64 // where the index begins
	n       int
	ids     int64
	nIDs    int
	close   func() // what is only read needs no check
}

var errBroken = errors.New("broken set file")

func openSet(path string) (*setFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	s, err := readSet(f, info.Size())
	if err != nil {
		f.Close()
		return nil, fault.New(fault.Corrupt, "%s: %v", path, err).Hinted("staunch advisories update --force fetches it again")
	}
	s.close = func() { f.Close() }
	return s, nil
}

func readSet(r io.ReaderAt, size int64) (*setFile, error) {
	s := &setFile{r: r, size: size, close: func() {}}
	front := make([]byte, len(magic)+4)
	if _, err := r.ReadAt(front, 0); err != nil || string(front[:len(magic)]) != magic {
		return nil, errBroken
	}
	n := int64(binary.LittleEndian.Uint32(front[len(magic):]))
	if n > maxHeader || int64(len(front))+n+trailerSize > size {
		return nil, errBroken
	}
	head := make([]byte, n)
	if _, err := r.ReadAt(head, int64(len(front))); err != nil || json.Unmarshal(head, &s.header) != nil {
		return nil, errBroken
	}
	tail := make([]byte, trailerSize)
	if _, err := r.ReadAt(tail, size-trailerSize); err != nil {
		return nil, errBroken
	}
	s.entries, s.ids = int64(binary.LittleEndian.Uint64(tail)), int64(binary.LittleEndian.Uint64(tail[8:]))
	s.n, s.nIDs = int(binary.LittleEndian.Uint32(tail[16:])), int(binary.LittleEndian.Uint32(tail[20:]))
	if s.entries < 0 || s.entries > size || s.ids != s.entries+int64(s.n)*entrySize || s.ids+int64(s.nIDs)*idSize != size-trailerSize {
		return nil, errBroken
	}
	return s, nil
}

func (s *setFile) entry(i int) (entry, error) {
	var b [entrySize]byte
	if _, err := s.r.ReadAt(b[:], s.entries+int64(i)*entrySize); err != nil {
		return entry{}, errBroken
	}
	return entry{
		binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint32(b[16:]),
		binary.LittleEndian.Uint32(b[20:]), binary.LittleEndian.Uint32(b[24:]),
	}, nil
}

// about returns the advisories on one thing.
func (s *setFile) about(key advisory.Key) ([]advisory.Advisory, error) {
	want := hashOf(key.Ecosystem, key.Name)
	var failed error
	at := sort.Search(s.n, func(i int) bool {
		e, err := s.entry(i)
		if err != nil {
			failed = err
		}
		return e.hash >= want
	})
	for ; at < s.n && failed == nil; at++ {
		e, err := s.entry(at)
		if err != nil || e.hash != want {
			return nil, err
		}
		c, err := s.unpack(e)
		if err != nil {
			return nil, err
		}
		if c.Ecosystem == key.Ecosystem && c.Name == key.Name {
			return c.Advisories, nil
		}
	}
	return nil, failed
}

func (s *setFile) unpack(e entry) (chunk, error) {
	if e.unpacked > maxChunk || int64(e.offset) < 0 || int64(e.offset)+int64(e.size) > s.entries {
		return chunk{}, errBroken
	}
	packed := make([]byte, e.size)
	if _, err := s.r.ReadAt(packed, int64(e.offset)); err != nil || crc32.ChecksumIEEE(packed) != e.crc {
		return chunk{}, errBroken
	}
	var c chunk
	z := flate.NewReader(bytes.NewReader(packed))
	defer z.Close()
	if err := json.NewDecoder(io.LimitReader(z, int64(e.unpacked))).Decode(&c); err != nil {
		return chunk{}, errBroken
	}
	return c, nil
}

// named returns everything that an advisory says, by its id or an alias.
func (s *setFile) named(id string) ([]advisory.Advisory, error) {
	want := hashOf(strings.ToUpper(id))
	var b [idSize]byte
	var failed error
	hash := func(i int) uint64 {
		if _, err := s.r.ReadAt(b[:], s.ids+int64(i)*idSize); err != nil {
			failed = errBroken
		}
		return binary.LittleEndian.Uint64(b[:])
	}
	var list []advisory.Advisory
	for i := sort.Search(s.nIDs, func(i int) bool { return hash(i) >= want }); i < s.nIDs && hash(i) == want && failed == nil; i++ {
		at := int(binary.LittleEndian.Uint32(b[8:]))
		if at >= s.n {
			return nil, errBroken
		}
		e, err := s.entry(at)
		if err != nil {
			return nil, err
		}
		c, err := s.unpack(e)
		if err != nil {
			return nil, err
		}
		for _, a := range c.Advisories {
			same := func(alias string) bool { return strings.EqualFold(alias, id) }
			if same(a.ID) || slices.ContainsFunc(a.Aliases, same) {
				list = append(list, a)
			}
		}
	}
	return list, failed
}
