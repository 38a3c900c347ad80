package feed

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"staunch/fault"
)

const (
	epssMagic   = "staunch-epss-1\n"
	maxKEV      = 64 << 20
	maxEPSS     = 128 << 20 // unpacked; the real one has 12 MB
	maxEPSSRows = 5_000_000
)

// buildKEV takes CISA's list of known-exploited vulnerabilities in: ids only.
func buildKEV(download, fresh, dir string, h *header) error {
	f, err := os.Open(download)
	if err != nil {
		return err
	}
	defer f.Close()
	var list struct {
		Count int `json:"count"`
		Vulns []struct {
			ID string `json:"cveID"`
		} `json:"vulnerabilities"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxKEV)).Decode(&list); err != nil {
		return fault.New(fault.Corrupt, "the known-exploited list is broken: %v", err)
	}
	if len(list.Vulns) == 0 || list.Count != 0 && list.Count != len(list.Vulns) {
		return fault.New(fault.Corrupt, "the known-exploited list says it has %d entries, it has %d", list.Count, len(list.Vulns))
	}
	for _, v := range list.Vulns {
		if _, ok := cveNumber(v.ID); ok {
			h.Exploited = append(h.Exploited, v.ID)
		}
	}
	h.Records = len(h.Exploited)
	b, err := newBuilder(dir)
	if err != nil {
		return err
	}
	defer b.close()
	return b.write(fresh, *h)
}

// cveNumber packs "CVE-2014-0160" into one number.
func cveNumber(id string) (uint64, bool) {
	year, n, ok := strings.Cut(strings.TrimPrefix(id, "CVE-"), "-")
	y, err1 := strconv.ParseUint(year, 10, 16)
	x, err2 := strconv.ParseUint(n, 10, 40)
	return y<<40 | x, ok && err1 == nil && err2 == nil && strings.HasPrefix(id, "CVE-")
}

type score struct {
	id uint64
	p  float32
}

// buildEPSS takes EPSS's daily scores in: 12 bytes a CVE, sorted.
func buildEPSS(download, fresh string, h *header) error {
	scores, err := readEPSS(download)
	if err != nil {
		return err
	}
	h.Records = len(scores)
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	w := &counter{w: bufio.NewWriter(f)}
	w.bytes([]byte(epssMagic))
	w.number(uint32(len(head)))
	w.bytes(head)
	for _, s := range scores {
		w.long(s.id)
		w.number(math.Float32bits(s.p))
	}
	if w.err != nil {
		return w.err
	}
	if err := w.w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

func readEPSS(download string) ([]score, error) {
	f, err := os.Open(download)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fault.New(fault.Corrupt, "the EPSS scores are no gzip file: %v", err)
	}
	bounded := &io.LimitedReader{R: z, N: maxEPSS}
	rows := csv.NewReader(bounded)
	rows.Comment, rows.FieldsPerRecord, rows.ReuseRecord = '#', -1, true
	var list []score
	for len(list) < maxEPSSRows {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fault.New(fault.Corrupt, "the EPSS scores are broken: %v", err)
		}
		if len(row) < 2 {
			continue
		}
		id, ok := cveNumber(row[0])
		p, err := strconv.ParseFloat(row[1], 32)
		if ok && err == nil && p >= 0 && p <= 1 {
			list = append(list, score{id, float32(p)})
		}
	}
	if bounded.N <= 0 {
		return nil, fault.New(fault.Corrupt, "the EPSS scores unpack to more than %d MB", maxEPSS>>20)
	}
	if len(list) == 0 {
		return nil, fault.New(fault.Corrupt, "the EPSS scores hold no score")
	}
	slices.SortFunc(list, func(a, b score) int { return cmp.Compare(a.id, b.id) })
	return list, nil
}

// epssFile looks scores up without loading them.
type epssFile struct {
	header
	f    *os.File
	from int64
	n    int
}

func openEPSS(path string) (*epssFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	e := &epssFile{f: f}
	front := make([]byte, len(epssMagic)+4)
	info, err := f.Stat()
	if err == nil {
		_, err = f.ReadAt(front, 0)
	}
	if err == nil && string(front[:len(epssMagic)]) == epssMagic {
		n := binary.LittleEndian.Uint32(front[len(epssMagic):])
		head := make([]byte, min(n, maxHeader))
		if _, err = f.ReadAt(head, int64(len(front))); err == nil {
			err = json.Unmarshal(head, &e.header)
		}
		e.from = int64(len(front)) + int64(len(head))
		e.n = int((info.Size() - e.from) / 12)
		if err == nil && e.n == e.Records {
			return e, nil
		}
	}
	f.Close()
	return nil, fault.New(fault.Corrupt, "%s is broken", path).Hinted("staunch advisories update --force fetches it again")
}

// of returns the score of a CVE, 0 where there is none.
func (e *epssFile) of(id string) float64 {
	want, ok := cveNumber(id)
	if !ok {
		return 0
	}
	var b [12]byte
	read := func(i int) uint64 {
		if _, err := e.f.ReadAt(b[:], e.from+int64(i)*12); err != nil {
			return math.MaxUint64
		}
		return binary.LittleEndian.Uint64(b[:])
	}
	i := sort.Search(e.n, func(i int) bool { return read(i) >= want })
	if i == e.n || read(i) != want {
		return 0
	}
	return float64(math.Float32frombits(binary.LittleEndian.Uint32(b[8:])))
}
