package elf

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"staunch/tame"
)

// What the hand-made programs of these tests say of themselves.
const (
	typeLoad     = 1
	machineX86   = 62
	machineArm64 = 183
)

// segment is one entry of a hand-made program header.
type segment struct {
	kind, flags           uint32
	off, vaddr, size, mem uint64
}

// tiny writes the smallest program there is, by hand: one header, the given segments, then the body.
func tiny(machine uint16, body []byte, segments ...segment) []byte {
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	w := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	w([]uint16{2, machine})
	w(uint32(1))
	w([]uint64{0x1000, 64, 0})
	w(uint32(0))
	w([]uint16{64, 56, uint16(len(segments)), 0, 0, 0})
	for _, s := range segments {
		w([]uint32{s.kind, s.flags})
		w([]uint64{s.off, s.vaddr, s.vaddr, s.size, s.mem, 0x1000})
	}
	b.Write(body)
	return b.Bytes()
}

func tinyProgram() []byte {
	body := []byte("\x00Pretend part of OpenSSL 1.0.1e 11 Feb 2013\x00 inflate 1.2.3 Copyright 1995-2005 Mark Adler \x00")
	return tiny(machineX86, body, segment{kind: typeLoad, flags: 5, vaddr: 0x1000, size: uint64(64 + 56 + len(body)), mem: 4096})
}

func look(t testing.TB, content []byte) Object {
	t.Helper()
	a, err := New(nil, Options{MaxInstructions: 100000})
	if err != nil {
		t.Fatal(err)
	}
	o, err := a.Analyse(context.Background(), bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestATinyProgramIsRead(t *testing.T) {
	o := look(t, tinyProgram())
	if len(o.Components) != 2 || o.Components[0].Version != "1.0.1e" || o.Components[1].Version != "1.2.3" || o.Unknown != "" {
		t.Fatalf("%+v", o)
	}
}

// Every way of being broken has its reason, and none is an error of ours.
func TestBrokenFilesSayWhatIsWrong(t *testing.T) {
	whole := tinyProgram()
	patched := func(at int, b ...byte) []byte {
		c := slices.Clone(whole)
		copy(c[at:], b)
		return c
	}
	load := segment{kind: typeLoad, flags: 5, size: 120}
	for name, c := range map[string]struct {
		content []byte
		reason  string
	}{
		"empty":              {nil, "not an ELF file"},
		"text":               {[]byte("#!/bin/sh\n" + strings.Repeat("x", 80)), "not an ELF file"},
		"only the magic":     {[]byte("\x7fELF"), "truncated"},
		"cut in the header":  {whole[:60], "truncated"},
		"cut in the body":    {whole[:len(whole)-9], "truncated"},
		"class 9":            {patched(4, 9), "malformed: class"},
		"byte order 7":       {patched(5, 7), "malformed: byte order"},
		"65535 segments":     {patched(56, 0xff, 0xff), "malformed"},
		"no segments":        {patched(56, 0, 0), "no program headers"},
		"headers far away":   {patched(32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), "truncated"},
		"segment far away":   {patched(64+8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "truncated"},
		"the same, 99 times": {tiny(machineX86, nil, slices.Repeat([]segment{load}, 99)...), "segments overlap"},
		"RISC-V":             {tiny(243, nil, load), "machine riscv"},
		"packed by UPX":      {tiny(machineX86, []byte("\x00\x00\x00\x00UPX!\x0d\x00\x00\x00"), load), "packed: UPX"},
		"unpacks itself":     {tiny(machineX86, nil, segment{kind: typeLoad, flags: 7, size: 120, mem: 1 << 20}), "packed"},
	} {
		t.Run(name, func(t *testing.T) {
			if o := look(t, c.content); !strings.Contains(o.Unknown, c.reason) {
				t.Errorf("says %q, want %q", o.Unknown, c.reason)
			}
		})
	}
}

func TestTooLargeAFileIsLeftAlone(t *testing.T) {
	a, err := New(nil, Options{MaxBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	o, err := a.Analyse(context.Background(), failing{}, 101)
	if err != nil || !strings.Contains(o.Unknown, "too large") {
		t.Errorf("%v %q", err, o.Unknown)
	}
}

// failing stands for a file on a disk that is dead, or that was cut after it was opened.
type failing struct{ err error }

func (f failing) ReadAt(b []byte, off int64) (int, error) {
	if off == 0 && f.err == io.EOF {
		return copy(b, tinyProgram()), nil
	}
	return 0, f.err
}

func TestAFileThatShrinksIsToldFromADiskThatFails(t *testing.T) {
	a, err := New(nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	big := tinyProgram()
	binary.LittleEndian.PutUint64(big[64+32:], 1<<20)
	o, err := a.Analyse(context.Background(), bytes.NewReader(big), 2<<20)
	if err != nil || !strings.Contains(o.Unknown, "truncated") {
		t.Errorf("cut while it was read: %v %q", err, o.Unknown)
	}
	dead := &os.PathError{Op: "read", Path: "x", Err: errors.New("input/output error")}
	if _, err := a.Analyse(context.Background(), failing{dead}, 4096); !errors.Is(err, dead) {
		t.Errorf("a dead disk: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := a.Analyse(ctx, bytes.NewReader(tinyProgram()), int64(len(tinyProgram()))); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
}

// A file made of nothing but version texts must not keep the scan busy.
func TestAFloodOfVersionsIsCutShort(t *testing.T) {
	body := bytes.Repeat([]byte("OpenSSL 1.0.1e 11 Feb 2013\x00"), 200000)
	o := look(t, tiny(machineX86, body, segment{kind: typeLoad, flags: 4, size: uint64(120 + len(body)), mem: 1 << 24}))
	if !strings.Contains(o.Unknown, "hostile") {
		t.Errorf("says %q", o.Unknown)
	}
}

// Anchors that cannot be asked are refused by name.
func TestUselessAnchorsAreRefused(t *testing.T) {
	for _, n := range []Anchor{
		{ID: "short text", Strings: []string{"ab"}},
		{ID: "short code", Code: []Code{{Machine: "x86-64", Bytes: "90 90"}}},
		{ID: "no hex", Code: []Code{{Machine: "x86-64", Bytes: "zz 90 90 90"}}},
		{ID: "starts anywhere", Code: []Code{{Machine: "x86-64", Bytes: "?? 90 90 90 90"}}},
		{ID: "far companions", Code: []Code{{Machine: "x86-64", Bytes: "90909090", Near: []Near{{Any: []string{"90"}, Before: 1 << 20}}}}},
		{ID: "matches all", Functions: []Shape{{Machine: "x86-64"}}},
		{ID: "within nothing", Within: "nowhere"},
	} {
		if _, err := New([]Anchor{n}, Options{}); err == nil {
			t.Errorf("%s was accepted", n.ID)
		}
	}
}

// samples are real shared objects of this machine, small ones first.
func samples(t testing.TB, most int) []string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*-linux-gnu/*.so.*")
	if err != nil {
		t.Fatal(err)
	}
	return found[:min(len(found), most)]
}

func FuzzAnalyse(f *testing.F) {
	f.Add(tinyProgram())
	f.Add(tiny(machineArm64, []byte("\x00\x00\x00\x00UPX!\x0d\x00\x00\x00"), segment{kind: typeLoad, flags: 7, size: 130, mem: 1 << 20}))
	for _, path := range samples(f, 3000) {
		if content, err := os.ReadFile(path); err == nil && len(content) < 16<<10 {
			f.Add(content)
		}
	}
	a, err := New([]Anchor{{ID: "x", Functions: []Shape{{Machine: "x86-64", Has: []Instr{{Op: []string{"ret"}}}}, {Machine: "aarch64", Has: []Instr{{Op: []string{"ret"}}}}}}}, Options{MaxInstructions: 10000})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		o, err := a.Analyse(context.Background(), bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatalf("an error for a file that could be read: %v", err)
		}
		if o.Unknown == "" && o.ID == "" {
			t.Fatal("neither analysed nor said why not")
		}
		for _, c := range o.Components {
			if tame.Short(c.Name, 256) != c.Name || tame.Short(c.Version, 256) != c.Version {
				t.Fatalf("unprintable: %q %q", c.Name, c.Version)
			}
		}
	})
}

func FuzzAuditData(f *testing.F) {
	f.Add([]byte("x\x9c\xabV*HL\xceNLOU\xb2\x8a\xae\xcaK\xccMU\xb2\x52\x4a\x54\xaa\x8d\xad\x05\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(auditData(b)); n > maxCrate {
			t.Fatalf("%d crates", n)
		}
	})
}

func FuzzBuildInfo(f *testing.F) {
	f.Add([]byte("\xff Go buildinf:\x08\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x06go1.22\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		content := tiny(machineX86, data, segment{kind: typeLoad, flags: 6, vaddr: 0x1000, size: uint64(120 + len(data)), mem: uint64(120 + len(data))})
		for _, c := range look(t, content).Components {
			if c.Kind == "Go" && c.Name == "" {
				t.Fatal("a module without a name")
			}
		}
	})
}

func FuzzHexPattern(f *testing.F) {
	f.Add("be 3b ?? 00")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := hexPattern(s); err == nil && len(p.Bytes) != len(p.Wild) {
			t.Fatal("pattern and wildcards differ in length")
		}
	})
}
