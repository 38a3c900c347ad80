package owner

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"staunch/see/scan/jail"
	"staunch/testbed/real"

	rpmdb "github.com/anchore/go-rpmdb/pkg"
	_ "modernc.org/sqlite" // go-rpmdb asks for a driver of this name
)

// samples are real databases of all three formats, published with the Go module that serves as the oracle here.
func samples(t *testing.T) string {
	t.Helper()
	real.Slow(t)
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/anchore/go-rpmdb").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "pkg", "testdata")
}

// rootWith makes a root with nothing but one rpm database.
func rootWith(t *testing.T, database string) *jail.Root {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "var/lib/rpm"), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "var/lib/rpm", filepath.Base(database)), b, 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := jail.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	return root
}

func TestThreeFormatsAgreeWithTheOracle(t *testing.T) {
	dir := samples(t)
	for _, sample := range []string{
		"centos5-plain/Packages", "centos6-plain/Packages", "centos7-plain/Packages", "ubi8-s390x/Packages", "libuuid/Packages",
		"sle15-bci/Packages.db", "rockylinux-9/rpmdb.sqlite", "fedora35/rpmdb.sqlite", "cbl-mariner-2.0/rpmdb.sqlite",
	} {
		t.Run(sample, func(t *testing.T) {
			file := filepath.Join(dir, sample)
			want := oracle(t, file)
			paths := make([]string, 0, len(want))
			for path := range want {
				paths = append(paths, path)
			}
			db := Open(rootWith(t, file))
			if db.base.kind != RPM {
				t.Fatalf("kind %q", db.base.kind)
			}
			got, err := db.Find(context.Background(), paths)
			if err != nil {
				t.Fatal(err)
			}
			for path, names := range want {
				if m := got[path]; m == nil || !slices.Contains(names, m.Name+" "+strings.TrimPrefix(m.Version, "0:")+" "+m.Sum) {
					t.Fatalf("%s: %+v, want one of %q", path, m, names)
				}
			}
			t.Logf("%d files of %s agree", len(want), sample)
		})
	}
}

// oracle maps libraries and programs to "name version-release digest" of all packages that list them.
func oracle(t *testing.T, file string) map[string][]string {
	t.Helper()
	db, err := rpmdb.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	packages, err := db.ListPackages()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, p := range packages {
		files, err := p.InstalledFiles()
		if err != nil {
			t.Fatal(err)
		}
		version := p.Version + "-" + p.Release
		if p.Epoch != nil && *p.Epoch > 0 {
			version = itoa(*p.Epoch) + ":" + version
		}
		for _, f := range files {
			if strings.Contains(f.Path, "/bin/") || strings.Contains(f.Path, ".so") {
				sum := ""
				if p.DigestAlgorithm == rpmdb.PGPHASHALGO_SHA256 {
					sum = f.Digest
				}
				out[f.Path] = append(out[f.Path], p.Name+" "+version+" "+sum)
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s lists no programs", file)
	}
	return out
}

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + string(rune('0'+n%10))
	}
	return string(rune('0' + n))
}

func TestSourcePackagesOfRPM(t *testing.T) {
	for file, want := range map[string][2]string{
		"openssl-3.0.7-27.el9.src.rpm": {"openssl", "3.0.7-27.el9"}, "java-1.8.0-openjdk-1.8.0-1.src.rpm": {"java-1.8.0-openjdk", "1.8.0-1"},
		"": {}, "x": {}, "-1-2": {},
	} {
		if name, version := splitSourceRPM(file); name != want[0] || version != want[1] {
			t.Errorf("%q: %q %q", file, name, version)
		}
	}
}

func FuzzRPMHeader(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 3, 232, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 'b', 'c', 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if h, err := parseRPMHeader(b); err == nil {
			h.match(map[string][]string{"/usr/bin/x": {"/usr/bin/x"}}, map[string]*Match{})
			h.pkg()
		}
	})
}

func FuzzRPMFiles(f *testing.F) {
	ndb := make([]byte, 8192)
	copy(ndb, "RpmP\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00")
	copy(ndb[32:], "Slot\x01\x00\x00\x00\x00\x01\x00\x00\x01\x00\x00\x00")
	copy(ndb[4096:], "BlbS\x01\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00")
	f.Add(ndb)
	bdb := make([]byte, 4096)
	copy(bdb[12:], "\x61\x15\x06\x00")
	copy(bdb[20:], "\x00\x02\x00\x00")
	bdb[32] = 7
	f.Add(bdb)
	f.Add(sqliteOf(f, 512, []string{"short", strings.Repeat("long", 300)}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		total := 0
		yield := func(blob []byte) error {
			total += len(blob)
			_, err := parseRPMHeader(blob)
			return err
		}
		_ = eachNDB(context.Background(), bytes.NewReader(b), int64(len(b)), yield)
		_ = eachBDB(context.Background(), bytes.NewReader(b), int64(len(b)), yield)
		_ = eachSQLite(context.Background(), bytes.NewReader(b), int64(len(b)), yield)
	})
}
