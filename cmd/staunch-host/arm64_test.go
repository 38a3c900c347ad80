package main_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/reach/act"
	"staunch/reach/host"
	"staunch/reach/wire"
	"staunch/see/scan"
	"staunch/testbed/real"
)

// TestTheOtherArchitecturesHostPartSpeaksTheWire runs the arm64 host part under emulation and asks it what a host is asked: what runs in
// a file, whether it is well, and what an act would do.
func TestTheOtherArchitecturesHostPartSpeaksTheWire(t *testing.T) {
	qemu := real.Program(t, "qemu-aarch64-static")
	bin := filepath.Join(t.TempDir(), "staunch-host")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "./cmd/staunch-host")
	build.Dir = real.Top(t)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h := serve(ctx, t, qemu, bin)

	a, err := h.Look(ctx, host.Question{Scan: &scan.Question{Files: []string{bin}, NoCache: true}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Scan.Objects) == 0 || a.Scan.Objects[0].Machine != "aarch64" || a.Scan.Host != "arm" {
		t.Errorf("%d objects on %q: %+v", len(a.Scan.Objects), a.Scan.Host, a.Scan.Objects)
	}
	a, err = h.Look(ctx, host.Question{Health: &host.HealthQuestion{}}, nil)
	if err != nil || a.Health.DiskFree["/"] <= 0 {
		t.Errorf("health: %+v, %v", a.Health, err)
	}
	place, err := act.New(act.Place, &act.PlaceWith{Files: []act.File{{Path: "/srv/st-arm64", Pieces: []act.Piece{{Text: "x"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	a, err = h.Look(ctx, host.Question{Check: &act.Order{ID: "arm/place/0", Host: "arm", Step: "place", Act: place}}, nil)
	if err != nil || a.Check.Refused != "" || !strings.Contains(strings.Join(a.Check.Says, "\n"), "place /srv/st-arm64 (new, 1 bytes") {
		t.Errorf("preview: %+v, %v", a.Check, err)
	}
	if _, err := os.Stat("/srv/st-arm64"); err == nil {
		t.Error("a preview placed the file")
	}
}

// serve starts the host part as ssh would and shakes hands with it.
func serve(ctx context.Context, t *testing.T, qemu, bin string) host.Host {
	t.Helper()
	const nonce = "00112233445566778899aabbccddeeff"
	cmd := exec.Command(qemu, bin, "serve", nonce, "arm")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReaderSize(out, 64<<10)
	if _, _, err := wire.SkipTo(reader, func(s string) bool { return s == wire.Greeting(nonce) }); err != nil {
		t.Fatal(err)
	}
	client, err := wire.Dial(ctx, wire.Stdio(io.NopCloser(reader), in, func() error { return in.Close() }), "arm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		_ = in.Close() // what is closed already is closed
		kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the host part ended badly: %v", err)
		}
	})
	return client
}
