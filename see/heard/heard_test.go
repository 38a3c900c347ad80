package heard_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/see/heard"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

func machine() *scan.Report {
	return &scan.Report{
		Host: "web-1", Sight: scan.Sight{ProcessesSeen: 2, ProcessesKnown: 3},
		Objects: []scan.Object{
			{Object: elf.Object{ID: "a", Components: []elf.Component{{Name: "openssl", Version: "3.0.1", Linkage: elf.Dynamic}}}},
			{Object: elf.Object{ID: "c", Soname: "liblzma.so.5", Components: []elf.Component{{Name: "liblzma", Version: "5.4.1", Linkage: elf.Dynamic}}}, Package: &owner.Package{Type: "deb", Name: "liblzma5", Version: "5.4.1-1", Source: "xz-utils", Distro: "debian", Release: "12", Intact: "yes"}},
			{Object: elf.Object{ID: "b", Components: []elf.Component{{Name: "libcurl", Version: "7.88.1", Linkage: elf.Static}}}},
		},
		Processes: []scan.Process{
			{PID: 7, Name: "nginx", Listens: []scan.Listen{{Reach: "public"}}, Objects: []scan.Mapped{{ID: "a", Path: "/usr/lib/libssl.so.3"}}},
			{PID: 9, Name: "agent", Objects: []scan.Mapped{{ID: "b", Path: "/opt/agent"}, {ID: "c", Path: "/usr/lib/liblzma.so.5"}}},
		},
	}
}

func TestTheFirstWordThatRunsHereIsTheComponent(t *testing.T) {
	for says, want := range map[string]string{
		"something bad in OpenSSL, they say": "openssl",
		"curl: heap overflow?":               "libcurl",
		"something in the xz library":        "liblzma",
		"ssl is broken":                      "", // nothing of that name runs here: nobody is looked for
	} {
		r, err := heard.New(says, "", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r.Look(machine())
		if r.Component != want {
			t.Errorf("%q: %q, want %q", says, r.Component, want)
		}
		if holds := len(r.Holders) == 1; holds != (want != "") {
			t.Errorf("%q: held by %+v", says, r.Holders)
		}
	}
	if _, err := heard.New("  ", "", time.Now()); !fault.Is(err, fault.Usage) {
		t.Errorf("nothing was heard: %v", err)
	}
}

func TestTheNoteIsKeptAndFoundAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "heard")
	r, err := heard.New("openssl memory leak", "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.Look(machine())
	if err := r.Keep(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(r.Note); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	again, err := heard.Read(dir, r.ID[:12])
	if err != nil || !again.Heard.Equal(r.Heard) || again.Says != r.Says || len(again.Holders) != 1 || again.Holders[0].Exposure.In != "public" {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := heard.Read(dir, "nothing"); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(r.Note, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := heard.Read(dir, r.ID); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), r.Note) {
		t.Errorf("%v", err)
	}
}
