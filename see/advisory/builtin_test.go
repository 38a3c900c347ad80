package advisory

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"staunch/testbed/real"
)

var update = flag.Bool("update", false, "write openssl.facts anew from the project's records in ../shared/data/openssl-cve")

// TestBuiltinHoldsEveryOpenSSLRecord makes the facts anew from the project's own records and compares; with -update it writes them.
func TestBuiltinHoldsEveryOpenSSLRecord(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(real.Shared(t, "data/openssl-cve"), "*.json"))
	if err != nil || len(files) != 272 {
		t.Fatalf("%d records (%v), 272 expected", len(files), err)
	}
	slices.Sort(files)
	var all []Advisory
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ReadCVE(f)
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, a)
	}
	var fresh bytes.Buffer
	for i := range all {
		line, err := all[i].fact()
		if err != nil {
			t.Fatal(err)
		}
		fresh.WriteString(line + "\n")
	}
	again, err := readFacts(fresh.String(), "")
	if err != nil || !reflect.DeepEqual(again, all) {
		t.Errorf("read again, the facts are not the records: %v", err)
	}
	if *update {
		if err := os.WriteFile("openssl.facts", fresh.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if fresh.String() != opensslFacts {
		t.Error("openssl.facts is not what the records say: go test ./see/advisory -run Builtin -update")
	}
}

func TestBuiltinCatalogueAnswers(t *testing.T) {
	set, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	c := NewCatalogue(set)
	for _, id := range []string{
		"CVE-2014-0160", "heartbleed", "CVE-2024-3094", "CVE-2023-4863", "CVE-2023-38545", "CVE-2021-44228", "Log4Shell",
		"GHSA-jfh8-c2jp-5v3q", "CVE-2024-6387", "CVE-2022-3602", "CVE-2014-0224", "CVE-2023-4911",
	} {
		if a, ok := c.Find(id); !ok || len(a.Affects) == 0 || a.Rule == nil {
			t.Errorf("%s is not whole in the built-in catalogue: %+v", id, a)
		}
	}
	if n := len(c.For(Key{"", "openssl"})); n < 270 {
		t.Errorf("only %d advisories speak of openssl", n)
	}
	if strings.Contains(opensslFacts, " allows ") {
		t.Error("the built-in catalogue holds prose")
	}
	ids := map[string]bool{}
	for _, a := range c.Anchors() {
		if ids[a.ID] || !strings.Contains(a.ID, "/") {
			t.Errorf("anchor %q is named twice or badly", a.ID)
		}
		ids[a.ID] = true
	}
}

func TestOpenSSLRanges(t *testing.T) {
	set, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	c := NewCatalogue(set)
	for _, test := range []struct {
		id, version string
		want        Answer
	}{
		{"CVE-2014-0160", "1.0.0m", No},
		{"CVE-2014-0160", "1.0.1", Yes},
		{"CVE-2014-0160", "1.0.1e-fips", Yes},
		{"CVE-2014-0160", "1.0.1f", Yes},
		{"CVE-2014-0160", "1.0.1g", No},
		{"CVE-2014-0160", "1.0.2-beta1", Yes},
		{"CVE-2014-0160", "1.0.2-beta2", No},
		{"CVE-2014-0160", "1.0.2", No},
		{"CVE-2014-0160", "0.9.8zh", No},
		{"CVE-2014-0160", "strange", Unclear},
		{"CVE-2014-0160", "", Unclear},
		{"CVE-2014-0224", "0.9.8y", Yes},
		{"CVE-2014-0224", "0.9.8za", No},
		{"CVE-2014-0224", "1.0.1g", Yes},
		{"CVE-2014-0224", "1.0.1h", No},
		{"CVE-2022-3602", "3.0.6", Yes},
		{"CVE-2022-3602", "3.0.7", No},
		{"CVE-2022-3602", "1.1.1w", No},
		{"CVE-2022-3996", "3.0.7", Yes},
		{"CVE-2022-3996", "3.0.8", No},
		{"CVE-2004-0975", "0.9.6m", Yes},
		{"CVE-2024-3094", "5.6.1", Silent},
	} {
		a, _ := c.Find(test.id)
		got, _ := a.Covers(Key{"", "openssl"}, test.version)
		if got != test.want {
			t.Errorf("%s covers openssl %q: %v, want %v", test.id, test.version, got, test.want)
		}
	}
}
