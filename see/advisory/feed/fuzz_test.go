package feed

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// FuzzMarks: CISA's list and EPSS's scores as a hostile mirror sends them. What was taken in can be asked; what was refused left nothing.
func FuzzMarks(f *testing.F) {
	f.Add([]byte(`{"count":1,"vulnerabilities":[{"cveID":"CVE-2014-0160"}]}`), []byte("#model_version:v2025\ncve,epss,percentile\nCVE-2014-0160,0.97,0.99\n"))
	f.Add([]byte(`{"count":2,"vulnerabilities":[]}`), []byte("\"CVE-1-1\n,2"))
	f.Fuzz(func(t *testing.T, kev, epss []byte) {
		dir := t.TempDir()
		download, fresh := filepath.Join(dir, "download"), filepath.Join(dir, "fresh")
		if err := os.WriteFile(download, kev, 0o600); err != nil {
			t.Fatal(err)
		}
		var h header
		if err := buildKEV(download, fresh, dir, &h); err == nil && h.Records != len(h.Exploited) {
			t.Errorf("%d records, %d ids", h.Records, len(h.Exploited))
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(epss); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(download, packed.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		scores := filepath.Join(dir, "scores")
		var head header
		if err := buildEPSS(download, scores, &head); err != nil {
			return
		}
		e, err := openEPSS(scores)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		defer e.f.Close()
		if p := e.of("CVE-2014-0160"); p < 0 || p > 1 {
			t.Errorf("a chance of %v", p)
		}
	})
}

// FuzzExport: an OSV archive as a hostile mirror sends it.
func FuzzExport(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("A.json")
	if err != nil {
		f.Fatal(err)
	}
	if _, err := w.Write([]byte(`{"id":"CVE-1-1","affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["1"]}]}`)); err != nil {
		f.Fatal(err)
	}
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, content []byte) {
		mirror := t.TempDir()
		path := filepath.Join(mirror, "osv", "npm", "all.zip")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s := Open(filepath.Join(mirror, "store"))
		results, err := s.Update(t.Context(), Options{Mirror: "file://" + mirror, Only: []string{"npm"}, Now: time.Now})
		if err != nil || len(results) != 1 {
			t.Fatalf("%v, %v", results, err)
		}
		if _, broken := s.Load([]advisory.Key{{Ecosystem: "npm", Name: "a"}}); len(broken) != 0 {
			t.Errorf("taken in, and broken: %v (%+v)", broken, results[0])
		}
	})
}
