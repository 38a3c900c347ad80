package deed

import (
	"context"
	"fmt"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
)

// BarKey has this host put a key nowhere any more.
type BarKey struct{ With *act.BarKeyWith }

// Check tells what it means.
func (k BarKey) Check(_ context.Context, b *bench.Bench) (act.Preview, error) {
	barred, err := keysOf(b).Barred(k.With.SPKI)
	return act.Preview{
		Already: barred, Undo: "cannot be undone: the key was revoked",
		Says: []string{fmt.Sprintf("from now on no bundle and no undo puts key %.12s, or a certificate of it, anywhere on this host", k.With.SPKI)},
	}, err
}

// Do notes it.
func (k BarKey) Do(_ context.Context, b *bench.Bench) error { return keysOf(b).Bar(k.With.SPKI) }

// Verify reads it back.
func (k BarKey) Verify(_ context.Context, b *bench.Bench) (any, error) {
	barred, err := keysOf(b).Barred(k.With.SPKI)
	if err == nil && !barred {
		err = fault.New(fault.Conflict, "the key is not barred")
	}
	return map[string]bool{"barred": barred}, err
}

// Undo refuses.
func (k BarKey) Undo(context.Context, *bench.Bench) (any, error) {
	return nil, bench.Denied("a key that was revoked stays barred")
}
