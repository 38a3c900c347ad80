package scan_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"staunch/see/scan"
	"staunch/testbed/real"
)

// stories are processes whose files changed under them in different ways.
func stories() []struct {
	name string
	mend func(t *testing.T, v *victim)
	want scan.State
} {
	return []struct {
		name string
		mend func(t *testing.T, v *victim)
		want scan.State
	}{
		{"untouched", func(*testing.T, *victim) {}, scan.Same},
		{"library deleted", func(t *testing.T, v *victim) { must(t, os.Remove(v.lib)) }, scan.Deleted},
		{"library replaced", func(t *testing.T, v *victim) { must(t, os.Rename(filepath.Join(v.dir, "new.so"), v.lib)) }, scan.Replaced},
		{"library overwritten in place", func(t *testing.T, v *victim) {
			time.Sleep(50 * time.Millisecond) // starts are known to 10 ms
			b, err := os.ReadFile(filepath.Join(v.dir, "new.so"))
			must(t, err)
			must(t, os.WriteFile(v.lib, b, 0o755))
		}, scan.Overwritten},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAgreementWithThePeers prints what needrestart, checkrestart and lsof say of the same processes. What any of them calls outdated
// must not be "same" here; the other way round the table shows what they miss.
func TestAgreementWithThePeers(t *testing.T) {
	real.Root(t)
	t.Setenv("TMPDIR", "/var/lib") // the peers leave out everything below /tmp
	peers := map[string]func(*testing.T) map[int]bool{
		"needrestart":  byText(real.Program(t, "needrestart"), `#(\d+) (?:uses|is|exe)[^\n]*(?:obsolete|deleted|outdated)`, "-b", "-l", "-v", "-r", "l"),
		"checkrestart": byText(real.Program(t, "checkrestart"), `(?m)^\s*(\d+)\t`, "-v"),
		"lsof":         byText(real.Program(t, "lsof"), `(?m)^\S+\s+(\d+)\s.* DEL `, "-n", "-P"),
	}
	var victims []*victim
	for _, s := range stories() {
		v := newVictim(t, nil)
		s.mend(t, v)
		victims = append(victims, v)
	}
	says := map[string]map[int]bool{}
	for name, ask := range peers {
		says[name] = ask(t)
	}
	t.Logf("%-30s %-12s %-12s %-13s %-5s", "story", "staunch", "needrestart", "checkrestart", "lsof")
	for i, s := range stories() {
		v := victims[i]
		got := holding(t, only(t, look(t, scan.Question{PIDs: []int{v.pid()}}, scan.Env{})), v.lib)
		if got.State != s.want {
			t.Errorf("%s: %+v", s.name, got)
		}
		row := fmt.Sprintf("%-30s %-12s", s.name, got.State)
		for _, peer := range []string{"needrestart", "checkrestart", "lsof"} {
			said := says[peer][v.pid()]
			if said && got.State == scan.Same {
				t.Errorf("%s: %s calls it outdated, we do not", s.name, peer)
			}
			row += fmt.Sprintf(" %-12v", said)
		}
		t.Log(row)
	}
	if !says["lsof"][victims[1].pid()] {
		t.Error("lsof does not show the deleted library: its output was not understood")
	}
}

// byText runs a peer and reads the process ids that a pattern finds in all that it prints.
func byText(program, pattern string, args ...string) func(*testing.T) map[int]bool {
	return func(t *testing.T) map[int]bool {
		t.Helper()
		var out bytes.Buffer
		cmd := exec.Command(program, args...)
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		if err := cmd.Run(); err != nil {
			t.Logf("%s: %v", filepath.Base(program), err) // lsof complains with a code when any process ends meanwhile
		}
		found := map[int]bool{}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(out.String(), -1) {
			pid, err := strconv.Atoi(strings.TrimSpace(m[1]))
			must(t, err)
			found[pid] = true
		}
		return found
	}
}
