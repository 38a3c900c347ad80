package bundle

import (
	"bytes"
	"io"
	"os"

	"staunch/reach/act/bench"
	"staunch/reach/act/files"
	"staunch/reach/act/vault"
)

// maxBarred is how much of a file is searched for barred keys: bundles of keys and certificates are small.
const maxBarred = 1 << 20

// headOf keeps the beginning of what is written to it.
type headOf struct{ bytes.Buffer }

// Write takes everything.
func (h *headOf) Write(b []byte) (int, error) {
	if room := maxBarred - h.Len(); room > 0 {
		h.Buffer.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

// barred refuses what holds a key that was revoked, or a certificate of it.
func barred(b *bench.Bench, path string, text []byte) error {
	spki, err := vault.Vault{State: b.Places.State}.BarredIn(text)
	if err != nil {
		return err
	}
	if spki != "" {
		return bench.Denied("%s would hold key %.12s, which was revoked", path, spki).Hinted("whoever serves it is refused by clients that check: plan a new key, `staunch cert replace`")
	}
	return nil
}

// mayComeBack refuses an undo that would put a revoked key back.
func (p Place) mayComeBack(b *bench.Bench, before files.Bundle) error {
	for i, f := range before.Files {
		kept := before.Kept(b.Saved(), i)
		if kept == "" {
			continue
		}
		file, err := os.Open(kept)
		if err != nil {
			continue // what is not there cannot be put back, and the restoring says so
		}
		text, err := io.ReadAll(io.LimitReader(file, maxBarred))
		file.Close()
		if err == nil {
			err = barred(b, f.Path, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
