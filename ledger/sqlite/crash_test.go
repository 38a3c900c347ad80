package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"staunch/fault"
	"staunch/ledger"
	"staunch/ledger/promise"
	"staunch/ledger/sqlite"
	"staunch/testbed/real"
)

// childOf tells this test binary to be the process that gets killed: it appends and prints each id once it is acknowledged.
const childOf = "STAUNCH_TEST_APPEND_TO"

func TestMain(m *testing.M) {
	if path := os.Getenv(childOf); path != "" {
		os.Exit(appendForever(path))
	}
	os.Exit(m.Run())
}

func appendForever(path string) int {
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: path, Who: "the child", Wait: 5 * time.Second})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	sealer := ledger.Sealer{Ledger: s, Every: 50, Within: 30 * time.Millisecond, Now: time.Now}
	go func() { _ = sealer.Run(context.Background()) }()
	var say sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for {
				e, err := ledger.New("test.fact", 1, time.Now(), "", strings.Repeat("x", 300))
				if err != nil {
					return
				}
				if _, err := s.Append(context.Background(), fmt.Sprintf("w/%d", w), ledger.Any, e); err != nil {
					return
				}
				say.Lock()
				fmt.Println(e.ID)
				say.Unlock()
			}
		})
	}
	wg.Wait()
	return 0
}

// TestKilledAtAnyTimeNothingAcknowledgedIsLost kills a writing process again and again on the same file.
func TestKilledAtAnyTimeNothingAcknowledgedIsLost(t *testing.T) {
	real.Slow(t)
	path := filepath.Join(t.TempDir(), "ledger.db")
	acknowledged := map[string]bool{}
	for range 12 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childOf+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		killAfter(t, child, out, 1+rand.IntN(400), acknowledged)
		mustHold(t, path, acknowledged)
	}
	t.Logf("%d acknowledged events over 12 kills", len(acknowledged))
}

// killAfter lets the child acknowledge n appends, kills it, and takes in what it still had said.
func killAfter(t *testing.T, child *exec.Cmd, out io.Reader, n int, acknowledged map[string]bool) {
	t.Helper()
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); seen++ {
		if strings.HasPrefix(lines.Text(), "error") {
			t.Fatal(lines.Text())
		}
		if len(lines.Text()) == 36 { // the last line may be torn
			acknowledged[lines.Text()] = true
		}
		if seen == n {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
}

func mustHold(t *testing.T, path string, acknowledged map[string]bool) {
	t.Helper()
	s := open(t, path)
	defer s.Close()
	there := map[string]bool{}
	for _, e := range promise.All(t, s, ledger.Query{}) {
		there[e.ID] = true
	}
	for id := range acknowledged {
		if !there[id] {
			t.Fatalf("event %s was acknowledged and is gone", id)
		}
	}
	if v, err := s.Verify(t.Context()); err != nil || v.Broken != nil {
		t.Fatalf("after the kill: %+v, %v", v, err)
	}
}

// TestTornCopiesAreRefusedOrWhole: a copy made without care either opens with everything that its files tell of, or is refused.
func TestTornCopiesAreRefusedOrWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	s := open(t, path)
	for i := range 1500 {
		if _, err := s.Append(t.Context(), "x", ledger.Any, promise.Fact(t, i), promise.Fact(t, -i)); err != nil {
			t.Fatal(err)
		}
	}
	copied := func(name string, ends ...string) string {
		to := filepath.Join(dir, name)
		for _, end := range append(ends, "") {
			b, err := os.ReadFile(path + end)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to+end, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return to
	}
	running := copied("running.db", ".head", "-wal")
	noLog := copied("nolog.db", ".head")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	half := copied("half.db", ".head")
	flipped := copied("flipped.db", ".head")
	size := sizeOf(t, half)
	if err := os.Truncate(half, size/2); err != nil {
		t.Fatal(err)
	}
	scribble(t, flipped, size/2, 4096)

	whole := open(t, running)
	if n := len(promise.All(t, whole, ledger.Query{})); n != 3000 {
		t.Errorf("a copy with its log holds %d events, want 3000", n)
	}
	if err := whole.Close(); err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{noLog, half, flipped} {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: torn})
		if !fault.Is(err, fault.Corrupt) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v, want a corrupt fault with a hint", filepath.Base(torn), err)
		}
		if err == nil {
			s.Close()
		}
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func scribble(t *testing.T, path string, at int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	junk := make([]byte, n)
	for i := range junk {
		junk[i] = byte(rand.IntN(256))
	}
	if _, err := f.WriteAt(junk, at/4096*4096); err != nil {
		t.Fatal(err)
	}
}

func TestNotALedgerIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"text": strings.Repeat("not a database\n", 400), "short": "SQLite format 3\x00"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v, want a corrupt fault", name, err)
			if err == nil {
				s.Close()
			}
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != content {
			t.Errorf("%s was changed by a refused opening (%v)", name, err)
		}
	}
}

// TestFullDisk fills a small file system: the reserve lets some more be written, then appends are refused, and nothing acknowledged is lost.
func TestFullDisk(t *testing.T) {
	real.Root(t)
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=12m", "staunch-test", dir).CombinedOutput(); err != nil {
		real.Missing(t, "no tmpfs: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	path := filepath.Join(dir, "ledger.db")
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Reserve: 3 << 20})
	if err != nil {
		t.Fatal(err)
	}
	acknowledged, fullWithReserve := fill(t, s, path)
	if fullWithReserve {
		t.Error("appends were refused while the reserve was there")
	}
	if _, err := os.Stat(path + ".reserve"); err == nil {
		t.Error("the disk is full and the reserve was not used")
	}
	if _, err := s.Append(t.Context(), "x", ledger.Any, big(t)); !fault.Is(err, fault.Full) || ledger.OutcomeOf(err) != ledger.Refused {
		t.Errorf("append to a full disk: %v, want full and refused", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing on a full disk: %v", err)
	}
	mustHold(t, path, acknowledged)
	freed := open(t, path)
	defer freed.Close()
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if _, err := freed.Append(t.Context(), "x", ledger.Any, promise.Fact(t, 1)); err != nil {
		t.Errorf("after space was made: %v", err)
	}
}

// fill takes all room with another file, then appends until it is refused.
func fill(t *testing.T, s *sqlite.Store, path string) (acknowledged map[string]bool, refusedEarly bool) {
	t.Helper()
	other, err := os.Create(filepath.Join(filepath.Dir(path), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for {
		if _, err := other.Write(make([]byte, 64<<10)); err != nil {
			break
		}
	}
	acknowledged = map[string]bool{}
	for {
		e := big(t)
		_, err := s.Append(t.Context(), "x", ledger.Any, e)
		if err == nil {
			acknowledged[e.ID] = true
			continue
		}
		if !fault.Is(err, fault.Full) {
			t.Fatal(err)
		}
		_, err = os.Stat(path + ".reserve")
		if len(acknowledged) < 100 {
			t.Errorf("only %d events of 10 kB fitted into a reserve of 3 MB", len(acknowledged))
		}
		return acknowledged, err == nil
	}
}

func big(t *testing.T) ledger.Event {
	t.Helper()
	e := promise.Fact(t, 1)
	e.Data = []byte(strconv.Quote(strings.Repeat("x", 10_000)))
	return e
}

func TestAloneKeepsOthersOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	first, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Who: "staunch incident run 7", Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(t.Context(), sqlite.Options{Path: path, Who: "another"})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "staunch incident run 7") || fault.HintOf(err) == "" {
		t.Errorf("a second writer: %v (hint %q), want a conflict that names the first", err, fault.HintOf(err))
	}
	reader, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Reader: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := first.Append(t.Context(), "x", ledger.Any, promise.Fact(t, 1)); err != nil {
		t.Fatal(err)
	}
	if n := len(promise.All(t, reader, ledger.Query{})); n != 1 {
		t.Errorf("a reader beside the writer sees %d events, want 1", n)
	}
	if _, err := reader.Append(t.Context(), "x", ledger.Any, promise.Fact(t, 1)); !fault.Is(err, fault.Denied) {
		t.Errorf("append through a reader: %v", err)
	}
	if _, err := first.Acquire(t.Context(), "run/7.1", "the first", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Wait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if l, err := second.Acquire(t.Context(), "run/7.1", "the second", time.Hour); err != nil || l.Epoch != 2 {
		t.Errorf("the lease of a process that is gone: %+v, %v", l, err)
	}
}

// TestSeveralProcessesWriteInTurn: two stores on one file stand for two processes, each with its own writer and its own idea of the end.
func TestSeveralProcessesWriteInTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	one, two := open(t, path), open(t, path)
	defer two.Close()
	var wg sync.WaitGroup
	for name, s := range map[string]*sqlite.Store{"one": one, "two": two} {
		for range 4 {
			wg.Go(func() {
				for range 50 {
					e, err := ledger.New("test.fact", 1, time.Now(), name, nil)
					if err == nil {
						_, err = s.Append(t.Context(), "x", ledger.Any, e)
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if _, err := two.Append(t.Context(), "x", 399, promise.Fact(t, 1)); !fault.Is(err, fault.Conflict) {
		t.Errorf("a writer that has not seen the other's last event: %v", err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	for i, e := range promise.All(t, two, ledger.Query{}) {
		if e.Seq != int64(i)+1 || e.Pos != int64(i)+1 {
			t.Fatalf("event %d has number %d and position %d", i+1, e.Seq, e.Pos)
		}
	}
	if _, _, err := sqlite.Restore(t.Context(), path, sqlite.Options{Path: path}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a restore over a ledger in use: %v", err)
	}
}
