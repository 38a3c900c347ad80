package feed

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"staunch/see/advisory"
)

// FuzzSetFile: whatever lies on the disk, reading it answers or fails, and never takes more than its bounds.
func FuzzSetFile(f *testing.F) {
	dir := f.TempDir()
	b, err := newBuilder(dir)
	if err != nil {
		f.Fatal(err)
	}
	defer b.close()
	for _, id := range []string{"CVE-2099-1", "CVE-2099-2"} {
		a := advisory.Advisory{ID: id, Affects: []advisory.Affected{{Ecosystem: "npm", Name: "a", Ranges: []advisory.Range{{Fixed: "2"}}}}}
		if err := b.add(a); err != nil {
			f.Fatal(err)
		}
	}
	path := filepath.Join(dir, "x.set")
	if err := b.write(path, header{Source: "x"}); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-5])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readSet(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if list, err := s.about(advisory.Key{Ecosystem: "npm", Name: "a"}); err == nil && len(list) > 10_000 {
			t.Skip()
		}
		if _, err := s.named("CVE-2099-2"); err != nil {
			return
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"id":"CVE-1-1","affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["1"]}]}`))
	f.Add([]byte(`[{"id":"GHSA-1"},{"dataType":"CVE_RECORD","cveMetadata":{"cveId":"CVE-1-2"}}]`))
	f.Add([]byte(`{"advisories":[{"id":"X","rule":{"component":"c"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := Read(bytes.NewReader(data))
		if err == nil && len(set.Advisories) == 0 {
			t.Fatal("an empty set was taken")
		}
	})
}
