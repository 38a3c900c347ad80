package inventory

import (
	"bytes"
	"encoding/json"
	"io"

	"staunch/fault"
	"staunch/see/scan"
	"staunch/see/scan/packed"

	"github.com/klauspost/compress/zstd"
)

// maxUnpacked bounds what a few hostile bytes may become.
const maxUnpacked = 256 << 20

// Pack makes the stored form of a report: packed, as JSON, compressed.
func Pack(r *scan.Report) ([]byte, error) {
	p, err := packed.Of(r)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fault.New(fault.Bug, "packing the report of %s: %v", r.Host, err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fault.New(fault.Bug, "packing: %v", err)
	}
	return enc.EncodeAll(b, nil), enc.Close()
}

// Unpack reads what Pack made; what does not fit together is Corrupt.
func Unpack(b []byte) (*scan.Report, error) {
	dec, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnpacked))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "a packed report: %v", err)
	}
	defer dec.Close()
	text, err := io.ReadAll(io.LimitReader(dec, maxUnpacked))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "a packed report: %v", err)
	}
	var in packed.Report
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fault.New(fault.Corrupt, "a packed report: %v", err)
	}
	return in.Open(packed.Most{Processes: maxProcesses, Objects: maxObjects, Mapped: maxMapped})
}
