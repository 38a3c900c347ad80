package packages

import (
	"slices"
	"testing"
)

func TestMadisonTellsWhatCanBeInstalled(t *testing.T) {
	lines := []string{
		"   libssl3 | 3.0.17-1~deb12u2 | http://deb.debian.org/debian bookworm/main amd64 Packages",
		"   libssl3 | 3.0.15-1~deb12u1 | http://deb.debian.org/debian-security bookworm-security/main amd64 Packages",
		"   libssl3 | 3.0.17-1~deb12u2 | http://deb.debian.org/debian-security bookworm-security/main amd64 Packages",
		"   openssl | 3.0.17-1~deb12u2 | http://deb.debian.org/debian bookworm/main Sources",
		"N: something else", "", " | | ",
	}
	want := []Package{{Name: "libssl3", Version: "3.0.17-1~deb12u2"}, {Name: "libssl3", Version: "3.0.15-1~deb12u1"}}
	if got := parseMadison(lines); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func FuzzMadison(f *testing.F) {
	f.Add("   libssl3 | 3.0.17-1~deb12u2 | http://deb.debian.org/debian bookworm/main amd64 Packages")
	f.Fuzz(func(t *testing.T, line string) {
		for _, p := range parseMadison([]string{line}) {
			if p.Name == "" || p.Version == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}
