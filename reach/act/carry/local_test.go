package carry_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bounds"
	"staunch/reach/act/carry"
	"staunch/reach/act/systemd"
	"staunch/reach/act/vault"
	"staunch/testbed/real"
)

// site is an engine whose every path lies in a directory of the test.
type site struct {
	t *testing.T
	*carry.Engine
	dir string
}

func newSite(t *testing.T) site {
	t.Helper()
	real.Root(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	places := bounds.Places{
		Root: dir, Policy: dir + "/etc/policy.json", Signers: dir + "/etc/allowed_signers", Hooks: dir + "/etc/hooks", State: dir + "/state", Payloads: dir + "/state/payloads",
	}
	s := site{t, &carry.Engine{Places: places}, dir}
	for _, d := range []string{"etc/hooks", "srv"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s site) write(path, text string, mode os.FileMode) string {
	s.t.Helper()
	full := filepath.Join(s.dir, path)
	if err := os.WriteFile(full, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(full, mode); err != nil {
		s.t.Fatal(err)
	}
	return full
}

func (s site) read(path string) string {
	b, err := os.ReadFile(filepath.Join(s.dir, path))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s site) want(o act.Order, status act.Status, says string) act.Outcome {
	s.t.Helper()
	out, err := s.Do(context.Background(), o)
	if err != nil {
		s.t.Fatalf("%s: %v", o.ID, err)
	}
	if out.Status != status || !strings.Contains(out.Says, says) {
		s.t.Fatalf("order %s ended as %s: %q %v\nwant %s with %q", o.ID, out.Status, out.Says, out.Log, status, says)
	}
	return out
}

func (s site) put(text string) string {
	s.t.Helper()
	sum := sha256.Sum256([]byte(text))
	if err := s.Put(context.Background(), hex.EncodeToString(sum[:]), strings.NewReader(text)); err != nil {
		s.t.Fatal(err)
	}
	return hex.EncodeToString(sum[:])
}

func TestABundleIsPlacedWholeOrNotAtAll(t *testing.T) {
	s := newSite(t)
	s.write("srv/a.conf", "old a\n", 0o640)
	s.write("etc/hooks/picky", "#!/bin/sh\ngrep -q fine "+s.dir+"/srv/b.conf || { echo 'b is not fine'; exit 1; }\n", 0o755)
	bundle := func(id, b string) act.Order {
		return newOrder(t, id, act.Place, &act.PlaceWith{Validator: "hook:picky", Files: []act.File{
			{Path: s.dir + "/srv/a.conf", Pieces: []act.Piece{{Text: "new a\n"}, {SHA256: s.put("and more\n")}}},
			{Path: s.dir + "/srv/b.conf", Pieces: []act.Piece{{Text: b}}, Mode: "0600"},
		}})
	}
	s.want(bundle("bad", "broken\n"), act.Failed, "b is not fine; the old files are back")
	if got := s.read("srv/a.conf") + listOf(t, s.dir+"/srv"); got != "old a\na.conf" {
		t.Errorf("after the refusal: %q", got)
	}
	good := bundle("good", "fine\n")
	p, err := s.Check(context.Background(), good)
	if err != nil || p.Refused != "" || !strings.Contains(strings.Join(p.Says, "\n"), "b.conf (new, 5 bytes, mode 0600") {
		t.Fatalf("%+v, %v", p, err)
	}
	s.want(good, act.Done, "")
	if got := s.read("srv/a.conf") + s.read("srv/b.conf"); got != "new a\nand more\nfine\n" {
		t.Errorf("placed: %q", got)
	}
	if info, err := os.Stat(s.dir + "/srv/a.conf"); err != nil || info.Mode() != 0o640 {
		t.Errorf("the mode was not kept: %v, %v", info, err)
	}
	s.want(bundle("again", "fine\n"), act.Already, "as wanted already")
	s.want(undoOf(good), act.Undone, "")
	s.want(undoOf(good), act.Undone, "") // answered from the journal
	if got := s.read("srv/a.conf") + listOf(t, s.dir+"/srv"); got != "old a\na.conf" {
		t.Errorf("after the undo: %q", got)
	}
	missing := newOrder(t, "missing", act.Place, &act.PlaceWith{Files: []act.File{{Path: s.dir + "/srv/a.conf", Pieces: []act.Piece{{SHA256: strings.Repeat("0", 64)}}}}})
	s.want(missing, act.Refused, "has not been put")
}

// TestAKeyAndAnothersCertificateAreNotPlaced: no program's own check is needed to say that they do not belong together.
func TestAKeyAndAnothersCertificateAreNotPlaced(t *testing.T) {
	s := newSite(t)
	made := s.want(newOrder(t, "key", act.MakeKey, &act.MakeKeyWith{Name: "shop", Type: "ecdsa-p256", Names: []string{"shop.example"}}), act.Done, "")
	var key struct {
		SPKI string `json:"spki_sha256"`
		CSR  string `json:"csr_pem"`
	}
	if err := json.Unmarshal(made.After, &key); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(key.CSR))
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := vault.Generate("ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	chain := func(public any, ca bool) string {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: ca}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, issuer)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	place := func(id, cert string) act.Order {
		return newOrder(t, id, act.Place, &act.PlaceWith{Files: []act.File{
			{Path: s.dir + "/srv/cert.pem", Pieces: []act.Piece{{SHA256: s.put(cert)}}}, {Path: s.dir + "/srv/key.pem", Pieces: []act.Piece{{Key: "shop"}}},
		}})
	}
	s.want(place("another", chain(issuer.Public(), false)), act.Refused, "they do not belong together")
	s.want(place("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), act.Refused, "cannot be read")
	if names := listOf(t, s.dir+"/srv"); names != "" {
		t.Errorf("placed all the same: %s", names)
	}
	s.want(place("roots", chain(issuer.Public(), true)), act.Done, "")
	s.want(place("right", chain(req.PublicKey, false)), act.Done, "")
}

func listOf(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestWhatIsForbiddenStaysForbiddenByAnyName(t *testing.T) {
	s := newSite(t)
	s.write("etc/policy.json", `{"schema":1}`, 0o644)
	if err := os.Symlink(s.dir+"/etc", s.dir+"/srv/innocent"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.dir+"/srv/bound", 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "--bind", s.dir+"/etc", s.dir+"/srv/bound").CombinedOutput(); err != nil {
		real.Missing(t, "mount --bind: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(s.dir+"/srv/bound", syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.Link(s.dir+"/etc/policy.json", s.dir+"/srv/hard"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/pam.d", s.dir+"/srv/link"); err != nil {
		t.Fatal(err)
	}
	for i, path := range []string{
		s.dir + "/etc/policy.json", s.dir + "/etc/hooks/new", s.dir + "/etc/allowed_signers", s.dir + "/state/orders.jsonl",
		s.dir + "/srv/innocent/policy.json", s.dir + "/srv/innocent/hooks/x", s.dir + "/srv/bound/policy.json", s.dir + "/srv/bound/hooks/x", s.dir + "/srv/hard",
		s.dir + "/srv/link/x", s.dir + "/srv/.ssh/config", s.dir + "/srv/authorized_keys", s.dir + "/srv/staunch-host",
		"/etc/sudoers", "/etc/sudoers.d/x", "/root/.ssh/authorized_keys", "/etc/passwd", "/etc/shadow", "/etc/pam.d/sshd", "/etc/ld.so.preload", "/proc/sys/kernel/core_pattern", "/dev/sda",
		"/etc/staunch-not-there/../sudoers",
	} {
		with := &act.PlaceWith{Files: []act.File{{Path: path, Pieces: []act.Piece{{Text: "x"}}}}}
		a, err := act.New(act.Place, with)
		if strings.Contains(path, "..") {
			if !fault.Is(err, fault.Usage) {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Check(context.Background(), act.Order{ID: fmt.Sprintf("forbidden/%d", i), Act: a})
		if err != nil || !strings.Contains(p.Refused, "never written") {
			t.Errorf("%s: %+v, %v", path, p, err)
		}
	}
	for _, path := range []string{"/etc/ssh/sshd_config", "/etc/cron.d/x", "/etc/systemd/system/x.service", "/usr/bin/x", "/etc/network/interfaces", "/etc/docker/daemon.json", "/etc/dbus-1/x"} {
		a, err := act.New(act.Place, &act.PlaceWith{Files: []act.File{{Path: path, Pieces: []act.Piece{{Text: "x"}}}}})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := s.Check(context.Background(), act.Order{ID: "delicate", Act: a}); err != nil || !strings.Contains(p.Refused, "delicate") {
			t.Errorf("%s: %+v, %v", path, p, err)
		}
	}
}

func TestHooksRunByNameWithDeclaredParametersOnly(t *testing.T) {
	s := newSite(t)
	t.Setenv("LEAK", "secret")
	s.write("etc/hooks/rotate", "#!/bin/sh\nenv | sort >"+s.dir+"/srv/env\necho rotated\n", 0o755)
	s.write("etc/hooks/rotate.json", `{"schema":1,"says":"new tokens for a service","params":{"SERVICE":"[a-z]+"},"undo":"rotate-back","verify":"rotated"}`, 0o644)
	s.write("etc/hooks/rotated", "#!/bin/sh\ntest -e "+s.dir+"/srv/env\n", 0o755)
	s.write("etc/hooks/rotate-back", "#!/bin/sh\nrm "+s.dir+"/srv/env\n", 0o755)
	s.write("etc/hooks/open", "#!/bin/sh\n", 0o777)
	s.write("etc/hooks/plain", "#!/bin/sh\n", 0o644)
	hook := func(id, name string, params map[string]string) act.Order {
		return newOrder(t, id, act.Hook, &act.HookWith{Name: name, Params: params})
	}
	for name, c := range map[string]struct {
		order act.Order
		says  string
	}{
		"no such hook":   {hook("0", "nothing", nil), "is not there"},
		"writable":       {hook("1", "open", nil), "writable by others"},
		"not executable": {hook("2", "plain", nil), "not executable"},
		"undeclared":     {hook("3", "rotate", map[string]string{"OTHER": "x"}), "does not declare"},
		"wrong value":    {hook("4", "rotate", map[string]string{"SERVICE": "a; rm -rf /"}), "does not match"},
		"not given":      {hook("6", "rotate", nil), "needs the parameter SERVICE"},
		"wrong lines":    {hook("5", "rotate", map[string]string{"SERVICE": "shop\nx"}), "does not match"},
	} {
		t.Run(name, func(t *testing.T) { site{t, s.Engine, s.dir}.want(c.order, act.Refused, c.says) })
	}
	good := hook("good", "rotate", map[string]string{"SERVICE": "shop"})
	out := s.want(good, act.Done, "")
	if env := s.read("srv/env"); strings.Contains(env, "LEAK") || !strings.Contains(env, "STAUNCH_SERVICE=shop\n") || !strings.Contains(env, "STAUNCH_ORDER=good/0\n") {
		t.Errorf("the hook's environment:\n%s", env)
	}
	if len(out.Log) != 1 || out.Log[0] != "rotated" {
		t.Errorf("log %q", out.Log)
	}
	s.want(undoOf(good), act.Undone, "")
	if got := s.read("srv/env"); !strings.Contains(got, "no such file") {
		t.Errorf("not undone: %s", got)
	}
	s.write("etc/hooks/slow", "#!/bin/sh\nsleep 60 &\nsleep 60\n", 0o755)
	slow := hook("slow", "slow", nil)
	slow.DeadlineMS = 300
	s.want(slow, act.Unknown, "did not end in time")
	if s.want(slow, act.Unknown, "its end was not seen").Repeat != true {
		t.Error("an order whose end was not seen was done again")
	}
	s.write("etc/policy.json", `{"schema":1,"hooks":["other"]}`, 0o644)
	s.want(hook("bounded", "rotate", nil), act.Refused, "does not name hook")
}

func TestDrainIsUndoneByUndrain(t *testing.T) {
	s := newSite(t)
	s.write("etc/hooks/balancer", "#!/bin/sh\necho $STAUNCH_ACTION $STAUNCH_SERVICE >>"+s.dir+"/srv/said\n", 0o755)
	o := newOrder(t, "drain", act.Drain, &act.DrainWith{Service: "shop", Hook: "balancer"})
	s.want(o, act.Done, "")
	s.want(undoOf(o), act.Undone, "")
	if got := s.read("srv/said"); got != "drain shop\nundrain shop\n" {
		t.Errorf("the hook was told %q", got)
	}
}

func TestAKeyIsMadeHereSealedForAnotherHostAndNeverSeenInPlain(t *testing.T) {
	here, there := newSite(t), newSite(t)
	recipient, err := there.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	make1 := newOrder(t, "make", act.MakeKey, &act.MakeKeyWith{Name: "shop-2", Type: "ecdsa-p256", Names: []string{"shop.example", "192.0.2.7"}, Recipients: []string{recipient}})
	out := here.want(make1, act.Done, "")
	var made struct {
		SPKI   string `json:"spki_sha256"`
		CSR    string `json:"csr_pem"`
		Sealed string `json:"sealed"`
	}
	if err := json.Unmarshal(out.After, &made); err != nil || !strings.Contains(made.CSR, "CERTIFICATE REQUEST") || !strings.Contains(made.Sealed, "AGE ENCRYPTED") {
		t.Fatalf("%s, %v", out.After, err)
	}
	secret, _, err := vault.Vault{State: here.Places.State}.Read("shop-2")
	if err != nil {
		t.Fatal(err)
	}
	middle := strings.Split(string(secret), "\n")[1]
	for _, place := range []string{here.read("state/orders.jsonl"), string(out.After), there.read("state/orders.jsonl")} {
		if strings.Contains(place, middle) || strings.Contains(place, "PRIVATE KEY") {
			t.Error("the private key lies in plain in an answer or a journal")
		}
	}
	here.want(newOrder(t, "make-over", act.MakeKey, &act.MakeKeyWith{Name: "shop-2", Type: "ed25519", Names: []string{"x.example"}}), act.Refused, "exists on this host")

	unseal := &act.UnsealWith{Name: "shop-2", Sealed: made.Sealed, SPKI: made.SPKI}
	wrong := *unseal
	wrong.SPKI = strings.Repeat("0", 64)
	there.want(newOrder(t, "wrong", act.Unseal, &wrong), act.Refused, "the sealed key is")
	here.want(newOrder(t, "not-for-me", act.Unseal, &act.UnsealWith{Name: "other", Sealed: made.Sealed, SPKI: made.SPKI}), act.Refused, "not for this host")
	// A preview of opening what does not exist tells whom to seal keys to.
	ask := newOrder(t, "ask", act.Unseal, &act.UnsealWith{Name: "nothing", Sealed: "-", SPKI: strings.Repeat("0", 64)})
	if p, err := there.Check(t.Context(), ask); err != nil || p.Refused == "" || !strings.Contains(string(p.Finds), recipient) {
		t.Errorf("the host does not tell its recipient: %+v, %v", p, err)
	}
	there.want(newOrder(t, "unseal", act.Unseal, unseal), act.Done, "")
	there.want(newOrder(t, "unseal-again", act.Unseal, unseal), act.Already, "")

	key := []act.Piece{{Key: "shop-2"}, {Text: "# certificate follows\n"}}
	there.want(newOrder(t, "open", act.Place, &act.PlaceWith{Files: []act.File{{Path: there.dir + "/srv/shop.pem", Pieces: key, Mode: "0644"}}}), act.Refused, "that others can read")
	there.want(newOrder(t, "place", act.Place, &act.PlaceWith{Files: []act.File{{Path: there.dir + "/srv/shop.pem", Pieces: key}}}), act.Done, "")
	if got := there.read("srv/shop.pem"); got != string(secret)+"# certificate follows\n" {
		t.Error("the key that was placed is another one")
	}
	if info, err := os.Stat(there.dir + "/srv/shop.pem"); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestALibraryIsInstalledWithItsLinksAndTakenBack(t *testing.T) {
	s := newSite(t)
	dir := "/opt/" + filepath.Base(filepath.Dir(s.dir)) + "-staunch.test"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(dir+"/libx.so.1.0", []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("libx.so.1.0", dir+"/libx.so.1"); err != nil {
		t.Fatal(err)
	}
	install := newOrder(t, "lib", act.InstallLib, &act.InstallLibWith{SHA256: s.put("\x7fELF built elsewhere"), Path: dir + "/libx.so.1.1", Links: []string{"libx.so.1", "libx.so"}})
	s.want(install, act.Done, "")
	if target, err := os.Readlink(dir + "/libx.so.1"); err != nil || target != "libx.so.1.1" {
		t.Errorf("the link points to %q, %v", target, err)
	}
	s.want(undoOf(install), act.Undone, "")
	if target, err := os.Readlink(dir + "/libx.so.1"); err != nil || target != "libx.so.1.0" || listOf(t, dir) != "libx.so.1 libx.so.1.0" {
		t.Errorf("after the undo: %q, %v, %s", target, err, listOf(t, dir))
	}
	s.want(newOrder(t, "script", act.InstallLib, &act.InstallLibWith{SHA256: s.put("#!/bin/sh"), Path: dir + "/liby.so"}), act.Refused, "not a library")
	s.want(newOrder(t, "elsewhere", act.InstallLib, &act.InstallLibWith{SHA256: s.put("\x7fELF"), Path: "/etc/libz.so"}), act.Refused, "no place for libraries")
	s.want(newOrder(t, "pam", act.InstallLib, &act.InstallLibWith{SHA256: s.put("\x7fELF"), Path: "/usr/lib/x86_64-linux-gnu/security/pam_x.so"}), act.Refused, "delicate")
}

func TestASignalReachesExactlyTheProcessThatWasSeen(t *testing.T) {
	s := newSite(t)
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- child.Wait() }()
	start := startOf(t, child.Process.Pid)
	signal := func(id, name string, at time.Time, gone bool) act.Order {
		return newOrder(t, id, act.Signal, &act.SignalWith{PID: child.Process.Pid, Start: at, Signal: name, Gone: gone})
	}
	s.want(signal("other", "KILL", start.Add(-time.Minute), false), act.Refused, "does not run any more")
	pause := signal("pause", "STOP", start, false)
	s.want(pause, act.Done, "")
	// a signal is delivered when the process next runs, not when it was sent
	for end := time.Now().Add(10 * time.Second); stateOf(t, child.Process.Pid) != "T"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("state %s after STOP", stateOf(t, child.Process.Pid))
		}
	}
	s.want(undoOf(pause), act.Undone, "")
	end := signal("end", "TERM", start, true)
	s.want(end, act.Done, "")
	if err := <-exited; err == nil {
		t.Error("the process ended well")
	}
	s.want(signal("end-again", "TERM", start, true), act.Already, "")
}

func startOf(t *testing.T, pid int) time.Time {
	t.Helper()
	ticks, err := systemd.StartTicks(pid)
	if err != nil {
		t.Fatal(err)
	}
	var btime int64
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(stat)[strings.Index(string(stat), "btime"):], "btime %d", &btime); err != nil {
		t.Fatal(err)
	}
	return time.Unix(btime, 0).UTC().Add(time.Duration(ticks) * 10 * time.Millisecond)
}

func stateOf(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b)[strings.LastIndex(string(b), ")"):])[1]
}
