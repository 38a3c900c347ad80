package notify_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/notify"
)

// script writes a program.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheCommandGetsTheMessageAndNoShellReadsIt(t *testing.T) {
	dir := t.TempDir()
	c := notify.Command{Args: []string{script(t, `cat > "$1/in"; printf '%s|%s' "$STAUNCH_TO" "$STAUNCH_SAYS" > "$1/env"`), dir}, Env: []string{"PATH=" + os.Getenv("PATH")}}
	m := notify.Message{Kind: "due", Incident: "7", To: "cleo", Says: "due: $(touch " + dir + "/owned) `id`\nnow", At: time.Unix(1, 0).UTC()}
	if err := c.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var got notify.Message
	in, err := os.ReadFile(filepath.Join(dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(in, &got); err != nil || got.Says != m.Says || got.Schema != notify.Schema {
		t.Errorf("%s: %v", in, err)
	}
	env, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil || !strings.HasPrefix(string(env), "cleo|due: $(touch ") || strings.Contains(string(env), "\n") {
		t.Errorf("%s, %v", env, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "owned")); err == nil {
		t.Error("somebody's words were run")
	}
}

func TestACommandThatFailsOrHangsIsNamed(t *testing.T) {
	err := notify.Command{Args: []string{script(t, "echo no such channel >&2; exit 3")}}.Send(t.Context(), notify.Message{})
	if !fault.Is(err, fault.Unreachable) || !strings.Contains(err.Error(), "no such channel") {
		t.Errorf("%v", err)
	}
	err = notify.Command{Args: []string{script(t, "sleep 60 & sleep 60")}, Env: []string{"PATH=" + os.Getenv("PATH")}, Limit: 200 * time.Millisecond}.Send(t.Context(), notify.Message{})
	if !fault.Is(err, fault.Timeout) {
		t.Errorf("%v", err)
	}
	if err := (notify.Command{}).Send(t.Context(), notify.Message{}); !fault.Is(err, fault.Unsupported) {
		t.Errorf("%v", err)
	}
	if err := (notify.Command{Args: []string{"/nowhere/at/all"}}).Send(t.Context(), notify.Message{}); err == nil {
		t.Error("a command that is not there worked")
	}
}
