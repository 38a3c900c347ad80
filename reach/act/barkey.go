package act

// BarKeyWith bars a key from this host: no bundle and no undo puts it, or a certificate of it, anywhere any more. It follows a revocation,
// because the old files that undo keeps hold the key still.
type BarKeyWith struct {
	SPKI string `json:"spki_sha256"` // lower-case hex
}

// Validate wants the key's fingerprint.
func (w *BarKeyWith) Validate() error {
	if !reHex.MatchString(w.SPKI) {
		return usage("bar_key needs the key's spki_sha256")
	}
	return nil
}
