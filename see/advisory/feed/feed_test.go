package feed_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"staunch/see/advisory"
	"staunch/see/advisory/feed"
)

func record(id, ecosystem, name, fixed string, upstream ...string) string {
	more := ""
	if len(upstream) > 0 {
		more = `,"upstream":["` + strings.Join(upstream, `","`) + `"]`
	}
	return fmt.Sprintf(`{"id":%q%s,"modified":"2026-01-02T03:04:05Z","affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`, id, more, ecosystem, name, fixed)
}

func export(t testing.TB, records ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, r := range records {
		w, err := z.Create(fmt.Sprintf("R-%d.json", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func debianExport(t testing.TB) []byte {
	return export(t,
		record("DEBIAN-CVE-2099-1", "Debian:12", "openssl", "3.0.18-1", "CVE-2099-1"),
		record("DEBIAN-CVE-2099-2", "Debian:12", "openssl", "3.0.19-1", "CVE-2099-2"),
		record("DEBIAN-CVE-2099-3", "Debian:12", "curl", "8.0-1", "CVE-2099-3"),
		record("DSA-9999-1", "Debian:12", "openssl", "3.0.99-1", "CVE-2099-1", "CVE-2099-2"),
	)
}

// mirror is a server that answers what the test puts in, and misbehaves on request.
type mirror struct {
	files   map[string][]byte
	headers map[string]string
	cut     bool
	hits    atomic.Int32
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := m.files[r.URL.EscapedPath()]
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	for k, v := range m.headers {
		w.Header().Set(k, v)
	}
	w.Header().Set("ETag", tag)
	w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	m.hits.Add(1)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if m.cut {
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body)
}

type world struct {
	t      *testing.T
	mirror *mirror
	server *httptest.Server
	store  *feed.Store
	dir    string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, mirror: &mirror{files: map[string][]byte{"/osv/Debian/all.zip": debianExport(t)}, headers: map[string]string{}}, dir: t.TempDir()}
	w.server = httptest.NewServer(w.mirror)
	t.Cleanup(w.server.Close)
	w.store = feed.Open(w.dir)
	return w
}

func (w *world) update(only ...string) feed.Result {
	w.t.Helper()
	results, err := w.store.Update(context.Background(), feed.Options{Mirror: w.server.URL, Only: only, Client: w.server.Client(), Now: time.Now})
	if err != nil || len(results) != 1 {
		w.t.Fatalf("%v, %v", results, err)
	}
	return results[0]
}

func opensslKey() advisory.Key { return advisory.Key{Ecosystem: "debian:12", Name: "openssl"} }

func (w *world) ids() string {
	w.t.Helper()
	sets, broken := w.store.Load([]advisory.Key{opensslKey()})
	if len(broken) > 0 {
		w.t.Fatal(broken)
	}
	var ids []string
	for _, s := range sets {
		for _, a := range s.Advisories {
			ids = append(ids, a.ID)
		}
	}
	return strings.Join(ids, " ")
}

func TestAnUpdateIsLoadedByWhatAScanNeeds(t *testing.T) {
	w := newWorld(t)
	if r := w.update("debian"); r.State != "updated" || r.Records != 4 {
		t.Fatalf("%+v", r)
	}
	if got := w.ids(); got != "CVE-2099-1 CVE-2099-2" {
		t.Errorf("openssl has %q: the notice repeats both and must be left out, curl's must not be loaded", got)
	}
	for _, id := range []string{"cve-2099-3", "DEBIAN-CVE-2099-3"} {
		if sets, _ := w.store.Load(nil, id); len(sets) != 1 || len(sets[0].Advisories) != 1 {
			t.Errorf("by %s: %+v", id, sets)
		}
	}
	sets, _ := w.store.Load(nil, "cve-2099-3")
	if len(sets) != 1 || len(sets[0].Advisories) != 1 || sets[0].Advisories[0].Affects[0].Name != "curl" {
		t.Errorf("by id: %+v", sets)
	}
	c := advisory.NewCatalogue(sets...)
	if date, ok := c.Loaded("debian:12"); !ok || date.Year() != 2026 {
		t.Errorf("debian:12 is loaded of %v (%v)", date, ok)
	}
	if _, ok := c.Loaded("debian:11"); ok {
		t.Error("debian:11 was never fetched")
	}
}

func TestWhatDidNotChangeIsNotFetchedAgain(t *testing.T) {
	w := newWorld(t)
	w.update("debian")
	if r := w.update("debian"); r.State != "unchanged" || r.Records != 4 {
		t.Errorf("%+v", r)
	}
	w.mirror.files["/osv/Debian/all.zip"] = export(t, record("DEBIAN-CVE-2099-9", "Debian:12", "openssl", "9", "CVE-2099-9"))
	if r := w.update("debian"); r.State != "updated" || w.ids() != "CVE-2099-9" {
		t.Errorf("%+v, %s", r, w.ids())
	}
	if n := w.mirror.hits.Load(); n != 2 {
		t.Errorf("%d downloads, want 2", n)
	}
}

func TestABrokenDownloadLeavesTheOldSetInPlace(t *testing.T) {
	for name, spoil := range map[string]func(*mirror){
		"cut off":        func(m *mirror) { m.cut = true },
		"not an archive": func(m *mirror) { m.files["/osv/Debian/all.zip"] = []byte("<html>captive portal</html>") },
		"wrong checksum": func(m *mirror) {
			m.headers["X-Goog-Hash"] = "crc32c=AAAA,md5=" + base64.StdEncoding.EncodeToString(make([]byte, 16))
		},
		"wrong sidecar": func(m *mirror) {
			m.files["/osv/Debian/all.zip.sha256"] = []byte(strings.Repeat("0", 64) + "  all.zip\n")
		},
		"gone": func(m *mirror) { delete(m.files, "/osv/Debian/all.zip") },
		"half its records": func(m *mirror) {
			m.files["/osv/Debian/all.zip"] = export(nil2(), record("X-1", "Debian:12", "a", "1"), "{")
		},
		"an empty archive": func(m *mirror) { m.files["/osv/Debian/all.zip"] = export(nil2()) },
		"flipped bytes": func(m *mirror) {
			b := bytes.Clone(m.files["/osv/Debian/all.zip"])
			for i := 40; i < 120; i++ {
				b[i] ^= 0xff
			}
			m.files["/osv/Debian/all.zip"] = b
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.update("debian")
			m := w.mirror
			if name != "gone" {
				m.files["/osv/Debian/all.zip"] = export(t, record("DEBIAN-CVE-2099-7", "Debian:12", "openssl", "9", "CVE-2099-7"))
			}
			spoil(m)
			r := w.update("debian")
			if r.State != "failed" || r.Error == nil || r.Records != 4 {
				t.Errorf("%+v", r)
			}
			if got := w.ids(); got != "CVE-2099-1 CVE-2099-2" {
				t.Errorf("after the failure openssl has %q", got)
			}
			left, err := filepath.Glob(filepath.Join(w.dir, ".[dns]*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// nil2 lets table entries build archives without a test at hand.
func nil2() testing.TB { return &testing.T{} }

func TestTheServersChecksumIsAccepted(t *testing.T) {
	w := newWorld(t)
	sum := md5.Sum(w.mirror.files["/osv/Debian/all.zip"])
	w.mirror.headers["X-Goog-Hash"] = "crc32c=AAAA,md5=" + base64.StdEncoding.EncodeToString(sum[:])
	if r := w.update("debian"); r.State != "updated" {
		t.Errorf("%+v", r)
	}
}

func TestAMirrorOnDiskWorksWithoutANetwork(t *testing.T) {
	root, w := t.TempDir(), newWorld(t)
	for path, body := range map[string][]byte{"osv/Rocky%20Linux/all.zip": export(t, record("RLSA-1", "Rocky Linux:9", "openssl", "1:3.0.7-1.el9", "CVE-2099-1"))} {
		plain := strings.ReplaceAll(path, "%20", " ")
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(plain)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, plain), body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	results, err := w.store.Update(context.Background(), feed.Options{Mirror: "file://" + root, Only: []string{"rocky", "debian"}, Now: time.Now})
	if err != nil || results[0].State != "updated" || results[1].State != "failed" {
		t.Fatalf("%+v %v", results, err)
	}
	sets, _ := w.store.Load([]advisory.Key{{Ecosystem: "rocky:9", Name: "openssl"}})
	if len(sets) != 1 || len(sets[0].Advisories) != 1 {
		t.Errorf("%+v", sets)
	}
}

func TestKnownExploitedAndScoresMarkTheCatalogue(t *testing.T) {
	w := newWorld(t)
	w.mirror.files["/kev.json"] = []byte(`{"count":1,"vulnerabilities":[{"cveID":"CVE-2014-0224"}]}`)
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	fmt.Fprint(z, "#model_version:v1\ncve,epss,percentile\nCVE-2014-0160,0.94,0.99\nCVE-2014-0224,0.5,0.9\n")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	w.mirror.files["/epss.csv.gz"] = gz.Bytes()
	if r := w.update("kev"); r.State != "updated" || r.Records != 1 {
		t.Fatalf("%+v", r)
	}
	if r := w.update("epss"); r.State != "updated" || r.Records != 2 {
		t.Fatalf("%+v", r)
	}
	set, err := advisory.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	c := advisory.NewCatalogue(set)
	w.store.Mark(c)
	if a, _ := c.Find("CVE-2014-0224"); !a.KnownExploited || a.EPSS != 0.5 {
		t.Errorf("%v %v", a.KnownExploited, a.EPSS)
	}
	if a, _ := c.Find("CVE-2022-3602"); a.KnownExploited || a.EPSS != 0 {
		t.Errorf("%v %v", a.KnownExploited, a.EPSS)
	}
	gz.Truncate(gz.Len() - 9)
	w.mirror.files["/epss.csv.gz"] = gz.Bytes()
	if r := w.update("epss"); r.State != "failed" {
		t.Errorf("a cut gzip file was taken: %+v", r)
	}
}

func TestTwoUpdatesDoNotMeet(t *testing.T) {
	w := newWorld(t)
	w.update("debian")
	started, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(started); <-release }))
	defer slow.Close()
	done := make(chan error)
	go func() {
		_, err := w.store.Update(context.Background(), feed.Options{Mirror: slow.URL, Only: []string{"debian"}, Client: slow.Client(), Now: time.Now})
		done <- err
	}()
	<-started
	if _, err := w.store.Update(context.Background(), feed.Options{Mirror: w.server.URL, Only: []string{"debian"}, Client: w.server.Client(), Now: time.Now}); err == nil {
		t.Error("a second update ran beside the first")
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestABrokenSetIsNamedAndTheOthersLoad(t *testing.T) {
	w := newWorld(t)
	w.update("debian")
	path := filepath.Join(w.dir, "debian.set")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(b) {
		if err := os.WriteFile(path, b[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if sets, broken := w.store.Load([]advisory.Key{opensslKey()}); len(sets) != 0 || len(broken) != 1 {
			t.Fatalf("cut at %d of %d: %d sets, %v", cut, len(b), len(sets), broken)
		}
	}
}

func TestAddedFiles(t *testing.T) {
	s := feed.Open(t.TempDir())
	for name, test := range map[string]struct {
		text string
		id   string
		bad  string
	}{
		"osv":       {text: record("CVE-2099-5", "npm", "left-pad", "2.0.0"), id: "CVE-2099-5"},
		"list":      {text: "[" + record("CVE-2099-5", "npm", "a", "2") + "," + record("CVE-2099-6", "npm", "b", "2") + "]", id: "CVE-2099-6"},
		"cve":       {text: `{"dataType":"CVE_RECORD","cveMetadata":{"cveId":"CVE-2099-7","state":"PUBLISHED"},"containers":{"cna":{"affected":[{"product":"OpenSSL","versions":[{"version":"1.0.1","lessThan":"1.0.1g","status":"affected"}]}]}}}`, id: "CVE-2099-7"},
		"own":       {text: `{"advisories":[{"id":"INTERNAL-1","rule":{"component":"openssl","presence":[{"id":"INTERNAL-1/present","component":"openssl","strings":["bad build 7"],"decisive":["strings"]}]}}]}`, id: "INTERNAL-1"},
		"bad rule":  {text: `{"advisories":[{"id":"INTERNAL-2","rule":{"component":"openssl","presence":[{"id":"INTERNAL-2/p","component":"openssl","code":[{"machine":"x86-64","bytes":"zz"}]}]}}]}`, bad: "cannot be asked"},
		"empty":     {text: `{"advisories":[]}`, bad: "no advisory"},
		"not json":  {text: `<xml/>`, bad: "not JSON"},
		"no id":     {text: `{"advisories":[{"id":"a b","rule":{}}]}`, bad: "no usable id"},
		"harmless":  {text: `{"advisories":[{"id":"INTERNAL-3"}]}`, bad: "affects nothing"},
		"other osv": {text: `{"hello":1}`, bad: "without a usable id"},
	} {
		_, err := s.Add(strings.NewReader(test.text), "/tmp/../"+name+".json", time.Now())
		if test.bad != "" {
			if err == nil || !strings.Contains(err.Error(), test.bad) {
				t.Errorf("%s: %v, want %q", name, err, test.bad)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sets, broken := s.Load(nil)
		if _, ok := advisory.NewCatalogue(sets...).Find(test.id); !ok || len(broken) > 0 {
			t.Errorf("%s: %s is not there (%v)", name, test.id, broken)
		}
	}
	if n := len(s.List()); n != 4 {
		t.Errorf("%d added files are listed", n)
	}
}

func TestAnUnknownSourceIsRefused(t *testing.T) {
	if _, err := feed.Open(t.TempDir()).Update(context.Background(), feed.Options{Only: []string{"windows"}}); err == nil {
		t.Error("windows was taken for a source")
	}
}

// A big export must not make a scan slow or large: only what is asked for is read.
func TestABigExportLoadsSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: makes 20,000 records")
	}
	records := make([]string, 0, 20_000)
	for i := range 20_000 {
		records = append(records, record(fmt.Sprintf("DEBIAN-CVE-2098-%d", i), "Debian:12", fmt.Sprintf("package%d", i%1000), "1.0-1", fmt.Sprintf("CVE-2098-%d", i)))
	}
	w := newWorld(t)
	w.mirror.files["/osv/Debian/all.zip"] = export(t, records...)
	if r := w.update("debian"); r.Records != 20_000 {
		t.Fatalf("%+v", r)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var keys []advisory.Key
	for i := range 300 {
		keys = append(keys, advisory.Key{Ecosystem: "debian:12", Name: fmt.Sprintf("package%d", i)})
	}
	began := time.Now()
	sets, broken := w.store.Load(keys)
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if len(broken) > 0 || len(sets[0].Advisories) != 300*20 {
		t.Fatalf("%d advisories, %v", len(sets[0].Advisories), broken)
	}
	grew := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("300 packages of 1,000, 6,000 advisories of 20,000: %v, %d MB allocated", took, grew)
	if grew > 100 {
		t.Errorf("loading allocated %d MB", grew)
	}
}
