package owner

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"staunch/see/scan/jail"
	"staunch/testbed/real"

	"github.com/rogpeppe/go-internal/txtar"
)

// machine unpacks a written root; "-> target" as a file's only line makes a symbolic link.
func machine(t *testing.T, text string) *jail.Root {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(text)).Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(strings.TrimSpace(string(f.Data)), "-> "); ok {
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := jail.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	return root
}

const debian = `
-- etc/os-release --
ID=debian
VERSION_ID="12"
-- lib --
-> usr/lib
-- usr/lib/x --
-- var/lib/dpkg/status --
Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.15-1~deb12u1
Description: long
 Package: not-a-field

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+b1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: original
Status: install ok installed
Architecture: all
Version: 5

Package: diverter
Status: install ok installed
Architecture: all
Version: 6
-- var/lib/dpkg/info/libssl3:amd64.list --
/.
/usr
/usr/lib/x86_64-linux-gnu/libssl.so.3
-- var/lib/dpkg/info/libssl3:amd64.md5sums --
0123456789abcdef0123456789ABCDEF  usr/lib/x86_64-linux-gnu/libssl.so.3
-- var/lib/dpkg/info/libc6:amd64.list --
/lib/x86_64-linux-gnu/libc.so.6
-- var/lib/dpkg/info/gone.list --
/usr/bin/gone
-- var/lib/dpkg/info/original.list --
/usr/bin/tool
-- var/lib/dpkg/info/diverter.list --
/usr/bin/tool
-- var/lib/dpkg/diversions --
/usr/bin/tool
/usr/bin/tool.original
diverter
`

func TestDpkgKnowsOwnersThroughUsrmergeAndDiversions(t *testing.T) {
	db := Open(machine(t, debian))
	got, err := db.Find(context.Background(), []string{
		"/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/gone", "/usr/bin/tool", "/usr/bin/tool.original",
		"/opt/mine",
	})
	if err != nil {
		t.Fatal(err)
	}
	ssl := got["/usr/lib/x86_64-linux-gnu/libssl.so.3"]
	want := Package{Type: "deb", Name: "libssl3", Version: "3.0.15-1~deb12u1", Arch: "amd64", Source: "openssl", SourceVersion: "3.0.15-1~deb12u1", Distro: "debian", Release: "12"}
	if ssl == nil || ssl.Package != want || ssl.Sum != "0123456789abcdef0123456789abcdef" {
		t.Errorf("libssl: %+v", ssl)
	}
	if libc := got["/usr/lib/x86_64-linux-gnu/libc.so.6"]; libc == nil || libc.Source != "glibc" || libc.SourceVersion != "2.36-9" || libc.Sum != "" {
		t.Errorf("libc: %+v", libc)
	}
	for path, name := range map[string]string{"/usr/bin/tool": "diverter", "/usr/bin/tool.original": "original"} {
		if m := got[path]; m == nil || m.Name != name {
			t.Errorf("%s: %+v, want %s", path, m, name)
		}
	}
	for _, path := range []string{"/usr/bin/gone", "/opt/mine"} {
		if got[path] != nil {
			t.Errorf("%s belongs to %+v", path, got[path])
		}
	}
}

func TestStampFollowsTheDatabase(t *testing.T) {
	root := machine(t, debian)
	before := Open(root).Stamp()
	if again := Open(root).Stamp(); again != before {
		t.Errorf("%q then %q", before, again)
	}
	other := Open(machine(t, debian)).Stamp()
	if other == before {
		t.Error("two roots share a stamp")
	}
}

const alpine = `
-- etc/os-release --
ID=alpine
VERSION_ID=3.20.1
-- lib/apk/db/installed --
C:Q1xxx
P:libssl3
V:3.3.1-r0
A:x86_64
o:openssl
F:lib
R:libssl.so.3
a:0:0:755
Z:Q1qUiBrDXeVDHBRSvQ5IdRlJP3ypk=
F:usr/lib

P:musl
V:1.2.5-r0
A:x86_64
F:lib
R:ld-musl-x86_64.so.1
`

func TestAlpine(t *testing.T) {
	db := Open(machine(t, alpine))
	got, err := db.Find(context.Background(), []string{"/lib/libssl.so.3", "/lib/ld-musl-x86_64.so.1", "/lib/other"})
	if err != nil {
		t.Fatal(err)
	}
	ssl, musl := got["/lib/libssl.so.3"], got["/lib/ld-musl-x86_64.so.1"]
	if ssl == nil || ssl.Name != "libssl3" || ssl.Source != "openssl" || ssl.Version != "3.3.1-r0" || ssl.Release != "3.20.1" ||
		ssl.Sum != "a94881ac35de5431c1452bd0e487519493f7ca99" {
		t.Errorf("%+v", ssl)
	}
	if musl == nil || musl.Source != "musl" || musl.Sum != "" {
		t.Errorf("%+v", musl)
	}
	if len(got) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestOwnersAgreeWithDpkg(t *testing.T) {
	query := real.Program(t, "dpkg-query")
	root, err := jail.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var paths []string
	for _, pattern := range []string{"/usr/bin/[a-d]*", "/usr/lib/x86_64-linux-gnu/lib[a-d]*.so.*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
				paths = append(paths, path)
			}
		}
	}
	got, err := Open(root).Find(context.Background(), paths)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, path := range paths[:min(len(paths), 60)] {
		out, err := exec.Command(query, "-S", path).Output()
		name := ""
		if err == nil && !strings.Contains(string(out), "diversion") {
			name, _, _ = strings.Cut(string(out), ":")
		}
		if name == "" {
			continue // dpkg itself does not see through the merge of / and /usr
		}
		checked++
		if m := got[path]; m == nil || m.Name != name {
			t.Errorf("%s: %+v, dpkg says %s", path, m, name)
		}
	}
	if checked < 20 {
		t.Errorf("only %d paths compared", checked)
	}
}

func FuzzDpkg(f *testing.F) {
	f.Add([]byte("Package: x\nStatus: install ok installed\n\n"), "a\nb\nc\n")
	f.Fuzz(func(_ *testing.T, b []byte, text string) {
		eachStanza(b, func(s stanza) { debMatch(s) })
		parseSums(b, map[string]string{})
		d := parseDiversions(text)
		d.owns("x", "a", "b")
		w := debWanted{names: map[string][]string{"/x": {"/x"}}, owner: map[string]string{}, recorded: map[string]string{}, diverted: d}
		w.searchList("x", b)
	})
}

func FuzzAPK(f *testing.F) {
	f.Add([]byte("P:x\nV:1\nF:lib\nR:a\nZ:Q1AAAA\n\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { parseAPK(b, map[string][]string{"lib/a": {"/lib/a"}}) })
}

func FuzzRelease(f *testing.F) {
	f.Add("ID=\"a\\\"b\"\nVERSION_ID='1'\n")
	f.Fuzz(func(_ *testing.T, text string) { parseRelease(text) })
}
