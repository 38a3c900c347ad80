package loader

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"staunch/see/scan/elf"
	"staunch/see/scan/jail"
)

// machine is a root with libraries of x86-64 in several places; none of them holds more than a head.
func machine(t *testing.T, files ...string) *Loader {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		text := string(head(62, 2))
		name, body, given := cut(name)
		if given {
			text = body
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := jail.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	return New(root, func(name string) []byte {
		b, err := root.Read(name, 1<<20)
		if err != nil {
			return nil
		}
		return b
	})
}

func cut(name string) (string, string, bool) {
	for i := range name {
		if name[i] == '=' {
			return name[:i], name[i+1:], true
		}
	}
	return name, "", false
}

// head is how an ELF file of a machine begins.
func head(machine, class byte) []byte {
	b := make([]byte, 20)
	copy(b, "\x7fELF")
	b[4], b[5], b[18] = class, 1, machine
	return b
}

// all follows a start to its end, with what every library needs itself.
func all(l *Loader, program string, o *elf.Object, more map[string]*elf.Object) []string {
	var out []string
	start, level := l.Begin(program, o)
	for len(level) > 0 {
		var next []*Mapped
		for _, m := range level {
			out = append(out, m.Path)
			if m.Object = more[m.Path]; m.Object == nil {
				m.Object = &elf.Object{Machine: "x86-64"}
			}
			next = append(next, start.Enter(m)...)
		}
		level = next
	}
	return out
}

func program(l elf.Loading, needed ...string) *elf.Object {
	return &elf.Object{Machine: "x86-64", Needed: needed, Loading: l}
}

func TestALibraryIsFoundWhereTheLoaderFindsIt(t *testing.T) {
	l := machine(t, "usr/lib/libssl.so.3", "opt/app/lib/libssl.so.3", "opt/app/bin/libown.so", "opt/old/libssl.so.3="+string(head(3, 1)), "usr/lib/libz.so.1",
		"opt/app/lib/libz.so.1", "lib/x86_64-linux-gnu/libc.so.6", "opt/deb/lib/x86_64-linux-gnu/libssl.so.3", "opt/conf/libconf.so",
		"etc/ld.so.conf=include ld.so.conf.d/*.conf\n", "etc/ld.so.conf.d/a.conf=# comment\n/opt/conf # more\n")
	needsZ := map[string]*elf.Object{}
	for _, path := range []string{"/usr/lib/libssl.so.3", "/opt/app/lib/libssl.so.3"} {
		needsZ[path] = program(elf.Loading{}, "libz.so.1")
	}
	for name, c := range map[string]struct {
		loading elf.Loading
		needed  []string
		want    []string
	}{
		"by default":                               {elf.Loading{}, []string{"libssl.so.3"}, []string{"/usr/lib/libssl.so.3", "/usr/lib/libz.so.1"}},
		"RUNPATH is for its own object alone":      {elf.Loading{RunPath: []string{"$ORIGIN/../lib"}}, []string{"libssl.so.3"}, []string{"/opt/app/lib/libssl.so.3", "/usr/lib/libz.so.1"}},
		"RPATH is inherited":                       {elf.Loading{RPath: []string{"${ORIGIN}/../lib"}}, []string{"libssl.so.3"}, []string{"/opt/app/lib/libssl.so.3", "/opt/app/lib/libz.so.1"}},
		"RPATH beside RUNPATH is ignored":          {elf.Loading{RPath: []string{"/opt/app/lib"}, RunPath: []string{"/nowhere"}}, []string{"libssl.so.3"}, []string{"/usr/lib/libssl.so.3", "/usr/lib/libz.so.1"}},
		"another machine's library is passed over": {elf.Loading{RunPath: []string{"/opt/old"}}, []string{"libssl.so.3"}, []string{"/usr/lib/libssl.so.3", "/usr/lib/libz.so.1"}},
		"a relative directory is not followed":     {elf.Loading{RunPath: []string{"opt/app/lib", ""}}, []string{"libssl.so.3"}, []string{"/usr/lib/libssl.so.3", "/usr/lib/libz.so.1"}},
		"what is there already is not looked for":  {elf.Loading{}, []string{"/opt/app/lib/libz.so.1", "libssl.so.3"}, []string{"/opt/app/lib/libz.so.1", "/usr/lib/libssl.so.3"}},
		"never in the default directories":         {elf.Loading{NoDefault: true}, []string{"libssl.so.3.9", "libc.so.6"}, nil},
		"$LIB":                                     {elf.Loading{RunPath: []string{"/opt/deb/$LIB"}}, []string{"libssl.so.3"}, []string{"/opt/deb/lib/x86_64-linux-gnu/libssl.so.3"}},
		"beside the program as the last resort":    {elf.Loading{}, []string{"libown.so", "libz.so.1"}, []string{"/opt/app/bin/libown.so", "/usr/lib/libz.so.1"}},
		"by ld.so.conf where there is no cache":    {elf.Loading{}, []string{"libconf.so"}, []string{"/opt/conf/libconf.so"}},
		"what is nowhere is left out":              {elf.Loading{}, []string{"libnone.so"}, nil},
	} {
		more := map[string]*elf.Object{"/opt/app/lib/libz.so.1": {Machine: "x86-64", Soname: "libz.so.1"}}
		for k, v := range needsZ {
			more[k] = v
		}
		if got := all(l, "/opt/app/bin/prog", program(c.loading, c.needed...), more); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestMuslSearchesByItsOwnRules(t *testing.T) {
	l := machine(t, "lib/ld-musl-x86_64.so.1", "usr/local/lib/libssl.so.3", "usr/lib/libssl.so.3", "opt/lib/libz.so.1", "usr/lib/libz.so.1")
	more := map[string]*elf.Object{"/usr/local/lib/libssl.so.3": program(elf.Loading{}, "libz.so.1", "libc.musl-x86_64.so.1")}
	o := program(elf.Loading{Interpreter: "/lib/ld-musl-x86_64.so.1", RunPath: []string{"/opt/lib"}}, "libssl.so.3")
	want := []string{"/usr/local/lib/libssl.so.3", "/opt/lib/libz.so.1", "/lib/ld-musl-x86_64.so.1"}
	if got := all(l, "/usr/bin/prog", o, more); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTheCacheOfThisMachineNamesItsLibraries(t *testing.T) {
	b, err := os.ReadFile("/etc/ld.so.cache")
	if err != nil {
		t.Skip("no loader's cache here: ", err)
	}
	if libs := parseCache(b)["libc.so.6"]; len(libs) == 0 || !filepath.IsAbs(libs[0].path) {
		t.Errorf("libc.so.6: %v", libs)
	}
}

func FuzzCache(f *testing.F) {
	if b, err := os.ReadFile("/etc/ld.so.cache"); err == nil {
		f.Add(b[:min(len(b), 4096)])
	}
	f.Add([]byte("glibc-ld.so.cache1.1\xff\xff\xff\xff"))
	f.Fuzz(func(_ *testing.T, b []byte) { parseCache(b) })
}

// FuzzConf reads any text as the loader's settings.
func FuzzConf(f *testing.F) {
	f.Add("include /etc/ld.so.conf\ninclude *.conf\n/usr/lib=libc5 # x\n")
	dir := f.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		f.Fatal(err)
	}
	root, err := jail.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	defer root.Close()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(dir, "etc/ld.so.conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, d := range conf(root) {
			if !filepath.IsAbs(d) {
				t.Errorf("%q is not absolute", d)
			}
		}
	})
}
