package owner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// sqliteOf lets SQLite itself write a database as rpm has it, with these blobs and things beside it.
func sqliteOf(t testing.TB, page int, blobs []string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	conn, err := sqlite.OpenConn(file, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("PRAGMA page_size=%d; CREATE TABLE 'Name' (key TEXT, hnum INTEGER); CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL); CREATE INDEX Name_idx ON Name(key);", page)
	err = sqlitex.ExecuteScript(conn, script, nil)
	for i, blob := range blobs {
		if err == nil {
			err = sqlitex.Execute(conn, "INSERT INTO Packages (blob) VALUES (?)", &sqlitex.ExecOptions{Args: []any{[]byte(blob)}})
		}
		if err == nil {
			err = sqlitex.Execute(conn, "INSERT INTO Name VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{blob[:min(9, len(blob))], i}})
		}
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every size around the borders of pages and overflow chains, over all sizes of pages, is read as SQLite wrote it.
func TestSQLiteIsReadAsItWasWritten(t *testing.T) {
	for _, page := range []int{512, 1024, 4096, 65536} {
		var want []string
		for _, around := range []int{0, page / 8, page / 4, page - 35, page, 2 * page, 3*page + 7} {
			for d := -12; d <= 12; d++ {
				if n := around + d; n >= 0 {
					want = append(want, strings.Repeat(string(rune('a'+n%26)), n))
				}
			}
		}
		b := sqliteOf(t, page, want)
		got := blobsOf(t, b)
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %d blobs of %d", page, len(got), len(want))
		}
	}
	if got := blobsOf(t, sqliteOf(t, 4096, nil)); len(got) != 0 {
		t.Errorf("an empty table has %d blobs", len(got))
	}
}

func blobsOf(t *testing.T, b []byte) (all []string) {
	t.Helper()
	err := eachSQLite(context.Background(), bytes.NewReader(b), int64(len(b)), func(blob []byte) error {
		all = append(all, string(blob))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

// A database that leads in circles, or elsewhere, is an error and ends.
func TestADamagedSQLiteIsAnError(t *testing.T) {
	whole := sqliteOf(t, 512, []string{strings.Repeat("x", 5000), strings.Repeat("y", 5000)})
	for name, harm := range map[string]func([]byte) []byte{
		"cut off":        func(b []byte) []byte { return b[:len(b)-512] },
		"no table":       func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("Packages"), []byte("Packaged")) },
		"another coding": func(b []byte) []byte { b[59] = 2; return b },
		"every page the first": func(b []byte) []byte {
			for at := 512; at+4 <= len(b); at += 512 {
				copy(b[at:], []byte{0, 0, 0, 1})
			}
			return b
		},
	} {
		b := harm(bytes.Clone(whole))
		if err := eachSQLite(context.Background(), bytes.NewReader(b), int64(len(b)), func(blob []byte) error {
			if strings.Trim(string(blob), "x") != "" && strings.Trim(string(blob), "y") != "" {
				return errors.New("mixed up")
			}
			return nil
		}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
