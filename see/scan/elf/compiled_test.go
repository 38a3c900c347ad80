package elf_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"staunch/see/scan/elf"
	"staunch/testbed/real"
)

// analyse looks at one file with the anchors.
func analyse(t testing.TB, path string, anchors ...elf.Anchor) elf.Object {
	t.Helper()
	a, err := elf.New(anchors, elf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	o, err := a.Analyse(context.Background(), f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// says returns the answer to one anchor, "" when it was not asked.
func says(o elf.Object, anchor string) elf.Tri {
	for _, a := range o.Answers {
		if a.Anchor == anchor {
			return a.Says
		}
	}
	return ""
}

// holds returns the components of that name, as "version linkage".
func holds(o elf.Object, name string) []string {
	var out []string
	for _, c := range o.Components {
		if c.Name == name {
			out = append(out, c.Version+" "+string(c.Linkage))
		}
	}
	return out
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// The same handler, with and without its length check, through two compilers, two machines and five levels of optimisation; names
// stripped. What the code proves must not depend on any of them.
func TestTheCheckIsFoundInWhateverACompilerMakesOfIt(t *testing.T) {
	compilers := map[string]string{"gcc": "strip", "clang": "strip", "aarch64-linux-gnu-gcc": "aarch64-linux-gnu-strip"}
	want := map[string]map[string]elf.Tri{
		"OPEN":    {"present": elf.Yes, "fixed": elf.No},
		"CHECKED": {"present": elf.Yes, "fixed": elf.Yes},
		"WITHOUT": {"present": elf.No, "fixed": elf.Unknown},
	}
	for compiler, strip := range compilers {
		for _, level := range []string{"-O0", "-O1", "-O2", "-O3", "-Os"} {
			t.Run(compiler+level, func(t *testing.T) {
				for variant, answers := range want {
					out := filepath.Join(t.TempDir(), "lib.so")
					run(t, real.Program(t, compiler), level, "-fPIC", "-shared", "-fvisibility=hidden", "-D"+variant, "-o", out, "testdata/heartbeat.c")
					run(t, real.Program(t, strip), out)
					o := analyse(t, out, heartbleedAnchors()...)
					for anchor, answer := range answers {
						if compiler == "clang" && level == "-O0" && variant == "CHECKED" && anchor == "fixed" {
							answer = elf.No // it compares in 64 bit through memory: the known case that errs on the safe side
						}
						if got := says(o, anchor); got != answer {
							t.Errorf("%s %s: says %q, truth is %q (%v)", variant, anchor, got, answer, o.Answers)
						}
					}
				}
			})
		}
	}
}

// Code without unwind information has no bounds: that its shape is not found among the functions that have some must never clear it.
func TestCodeWithoutUnwindTablesIsNotCleared(t *testing.T) {
	gcc, strip := real.Program(t, "gcc"), real.Program(t, "strip")
	for _, sections := range []bool{true, false} {
		out := filepath.Join(t.TempDir(), "lib.so")
		run(t, gcc, "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables", "-o", out, "testdata/heartbeat.c")
		run(t, strip, out)
		if !sections {
			dropSections(t, out)
		}
		o := analyse(t, out, heartbleedAnchors()...)
		if got := says(o, "present"); got != elf.Unknown {
			t.Errorf("with sections %v: says %q: %v", sections, got, o.Answers)
		}
	}
}

// Some libraries tell their version only by a function that returns it, or by data: read, never run.
func TestVersionsAreReadOutOfCode(t *testing.T) {
	want := map[string]string{"zlib": "1.2.13", "liblzma": "5.4.1", "libwebp": "1.2.4", "sqlite": "3.40.1", "python": "3.11.2", "nghttp2": ""}
	for _, compiler := range []string{"gcc", "clang", "aarch64-linux-gnu-gcc"} {
		for _, level := range []string{"-O1", "-O2", "-Os"} {
			out := filepath.Join(t.TempDir(), "lib.so")
			run(t, real.Program(t, compiler), level, "-w", "-nostdlib", "-fPIC", "-shared", "-o", out, "testdata/versions.c")
			o := analyse(t, out)
			for name, version := range want {
				if got := holds(o, name); len(got) != 1 || !strings.HasPrefix(got[0], version+" ") { // nghttp2's number beside its code may be anybody's
					t.Errorf("%s %s %s: %q, want %s", compiler, level, name, got, version)
				}
			}
		}
	}
}

// Millions of functions of a compiler's library and of a virtual machine: some come near the shape, none has it.
func TestNoOtherFunctionHasTheShape(t *testing.T) {
	real.Slow(t)
	anchor := heartbleedAnchors()[:1]
	anchor[0].Component = ""
	looked := 0
	for _, pattern := range []string{"/usr/lib/*-linux-gnu/libLLVM-1?.so.1", "/usr/lib/llvm-1?/lib/libclang-cpp.so.1?", "/usr/lib/jvm/java-17-openjdk-*/lib/server/libjvm.so"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			looked++
			if o := analyse(t, path, anchor...); says(o, "present") != elf.No {
				t.Errorf("%s: %v", path, o.Answers)
			}
		}
	}
	if looked == 0 {
		real.Missing(t, "no large libraries here")
	}
}
