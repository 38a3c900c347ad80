package fleet_test

import (
	"strings"
	"testing"
	"time"

	"staunch/reach/fleet"
)

func TestHowLongLoginsAreKept(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"hosts: {web1: }\n": fleet.UsualKeep, "hosts: {web1: }\nkeep: 0s\n": 0, "hosts: {web1: }\nkeep: 5m\n": 5 * time.Minute, "hosts: {web1: }\nkeep: 1h\n": time.Hour,
	} {
		f, err := fleet.Read([]byte(text), "staunch.yaml")
		if err != nil || f.Keep != want {
			t.Errorf("%q: %+v, %v", text, f, err)
		}
	}
	for word, says := range map[string]string{"61m": "keep: from 0 to 1h", "-1s": "is not a duration"} {
		if _, err := fleet.Read([]byte("hosts: {web1: }\nkeep: "+word+"\n"), "staunch.yaml"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", word, err)
		}
	}
	if f := fleet.Of("names", nil); f.Keep != fleet.UsualKeep {
		t.Errorf("without a file: %v", f.Keep)
	}
}
