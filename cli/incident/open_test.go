package incident

import (
	"path/filepath"
	"testing"
	"time"

	"staunch/cli/desk"
	"staunch/see/heard"
)

func TestWhatIsSaidByHandWinsOverTheNote(t *testing.T) {
	state := t.TempDir()
	env := &desk.Env{Getenv: func(name string) string { return map[string]string{"XDG_DATA_HOME": state, "HOME": state}[name] }}
	dir, err := desk.StateDir(env)
	if err != nil {
		t.Fatal(err)
	}
	r, err := heard.New("a leak in something", "liblzma", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Keep(filepath.Join(dir, "heard")); err != nil {
		t.Fatal(err)
	}
	for hand, want := range map[string]string{"": "liblzma", "openssl": "openssl"} {
		o := opening{component: hand, heard: r.ID}
		open, err := o.command(&desk.Desk{Env: env}, "")
		if err != nil || open.Component != want || !open.Heard {
			t.Errorf("by hand %q: %+v, %v", hand, open, err)
		}
	}
}
