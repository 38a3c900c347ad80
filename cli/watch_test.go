package cli_test

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/testbed/real"
)

// watched is one line of "scan --watch --format jsonl".
type watched struct {
	Kind    string `json:"kind"`
	Change  string `json:"change"`
	How     string `json:"how"`
	Finding struct {
		PID   int    `json:"pid"`
		State string `json:"state"`
	} `json:"finding"`
}

// A program with a vulnerable OpenSSL starts, turns into another one, and ends, while somebody watches: only the changes are printed.
func TestAWatchTellsWhenAVulnerableProgramComesAndGoes(t *testing.T) {
	real.Slow(t)
	staunch := real.Build(t, "./cmd/staunch")
	node := filepath.Join(t.TempDir(), "worker")
	releases()[1].disguise(t, node)

	watch := exec.Command(staunch, "scan", "--watch", "--every", "1h", "--format", "jsonl", "--advisory", "heartbleed")
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		watch.Process.Kill() // it may have ended
		watch.Wait()         // killed
	})
	lines := make(chan watched, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			var w watched
			if err := json.Unmarshal(scanner.Bytes(), &w); err != nil {
				t.Errorf("%q: %v", scanner.Text(), err)
			}
			lines <- w
		}
	}()
	until := func(what string, is func(watched) bool) {
		t.Helper()
		for late := time.After(2 * time.Minute); ; {
			select {
			case w, ok := <-lines:
				if !ok {
					t.Fatalf("%s: the watch ended", what)
				}
				if is(w) {
					return
				}
			case <-late:
				t.Fatalf("%s was not told", what)
			}
		}
	}
	until("how it watches", func(w watched) bool { return w.Kind == "watching" && w.How != "" })
	if out, err := exec.Command(real.Program(t, "ionice"), "-p", strconv.Itoa(watch.Process.Pid)).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "idle" {
		t.Errorf("it reads with priority %q (%v), so that it can be in the way of others", out, err)
	}

	victim := exec.Command(node, "-e", `process.stdin.on("data", function(){ process.exit(0) }); process.stdin.resume()`)
	in, err := victim.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		victim.Process.Kill() // it may have ended
		victim.Wait()         // killed
	})
	until("its start", func(w watched) bool {
		return w.Change == "appeared" && w.Finding.PID == victim.Process.Pid && w.Finding.State == "affected"
	})
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	if err := victim.Wait(); err != nil {
		t.Fatal(err)
	}
	until("its end", func(w watched) bool { return w.Change == "gone" && w.Finding.PID == victim.Process.Pid })
	if err := watch.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}
