package probe_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"staunch/see/probe"
	"staunch/testbed/real"
)

// golden names the servers whose suites testssl.sh has listed; it is far too slow to be asked in every run.
func golden(t testing.TB) map[string]func(*testing.T) string {
	t.Helper()
	a := newAuthority(t)
	rsa, ec := a.issue(t, rsaKey(t, 2048)), a.issue(t, ecKey(t))
	return map[string]func(*testing.T) string{
		"openssl-rsa":   func(t *testing.T) string { return openssl(t, rsa) },
		"openssl-ecdsa": func(t *testing.T) string { return openssl(t, ec, "-cipher", "ECDHE+AESGCM:ECDHE+CHACHA20") },
		"openssl-tls1.0": func(t *testing.T) string {
			return openssl(t, rsa, "-cipher", "DEFAULT:@SECLEVEL=0", "-min_protocol", "TLSv1")
		},
		"nginx": func(t *testing.T) string {
			return nginx(t, rsa, "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:AES128-SHA;")
		},
		"node-0.10.1": func(t *testing.T) string { return node(t, "0.10.1", rsa) },
	}
}

// TestSuitesEqualTestssl compares with the lists that TestWriteTestsslLists (make peers) wrote.
func TestSuitesEqualTestssl(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	for name, serve := range golden(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(filepath.Join("testdata", "testssl", name+".txt"))
			if errors.Is(err, fs.ErrNotExist) {
				t.Fatal("no list: run make peers")
			}
			must(t, err)
			if got := strings.Join(idLines(look(t, serve(t))), "\n"); got != strings.TrimSpace(string(want)) {
				t.Errorf("ours:\n%s\ntestssl.sh:\n%s", got, want)
			}
		})
	}
}

func idLines(r probe.Result) []string {
	var lines []string
	for _, p := range r.Protocols {
		for _, s := range p.Suites {
			lines = append(lines, p.Version+" "+s.ID)
		}
	}
	slices.Sort(lines)
	return lines
}

// TestWriteTestsslLists asks testssl.sh -E about each server and writes what it lists (minutes a server).
func TestWriteTestsslLists(t *testing.T) {
	if os.Getenv("STAUNCH_PEERS") != "1" {
		t.Skip("left out: run by make peers")
	}
	program := real.Program(t, "testssl")
	for name, serve := range golden(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, port, err := net.SplitHostPort(serve(t))
			must(t, err)
			file := filepath.Join(t.TempDir(), "out.json")
			cmd := exec.Command(program, "--color", "0", "--warnings", "off", "--jsonfile", file, "-E", "127.0.0.1:"+port)
			out, err := cmd.CombinedOutput()
			lines := testsslLines(t, file)
			if len(lines) == 0 {
				t.Fatalf("testssl.sh lists nothing: %v\n%s", err, out)
			}
			must(t, os.WriteFile(filepath.Join("testdata", "testssl", name+".txt"), []byte(strings.Join(lines, "\n")+"\n"), 0o644))
		})
	}
}

// testsslID is how testssl.sh names one finding: cipher-tls1_2_xc02f.
var testsslID = regexp.MustCompile(`^cipher-(ssl3|tls1|tls1_1|tls1_2|tls1_3)_x([0-9a-fA-F]{2,4})$`)

func testsslLines(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	var findings []struct{ ID string }
	must(t, json.Unmarshal(b, &findings))
	names := map[string]string{"ssl3": "SSLv3", "tls1": "TLS1.0", "tls1_1": "TLS1.1", "tls1_2": "TLS1.2", "tls1_3": "TLS1.3"}
	var lines []string
	for _, f := range findings {
		if m := testsslID.FindStringSubmatch(f.ID); m != nil {
			id, err := strconv.ParseUint(m[2], 16, 16)
			must(t, err)
			lines = append(lines, fmt.Sprintf("%s 0x%04x", names[m[1]], id))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}
