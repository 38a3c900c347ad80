package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"staunch/ledger"
	"staunch/ledger/promise"
	"staunch/ledger/sqlite"
)

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Who: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreKeepsThePromises(t *testing.T) {
	var path string
	promise.Check(t, promise.Subject{
		Open: func(t *testing.T, now func() time.Time) promise.Store {
			path = filepath.Join(t.TempDir(), "ledger.db")
			s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Reopen: func(t *testing.T, _ promise.Store) promise.Store { return open(t, path) },
		Has:    []ledger.Class{ledger.OnDisk, ledger.Copies(1)},
		Lacks:  []ledger.Class{ledger.Copies(2), ledger.Majority, ledger.All},
	})
}
