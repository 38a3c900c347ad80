package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"staunch/fault"
)

func TestKindSurvivesTheWire(t *testing.T) {
	sent := fault.New(fault.Denied, "host %s refused", "web1").Hinted("ask for a second vote").Caused(fs.ErrPermission)
	b, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var got fault.Error
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Kind != fault.Denied || got.Hint != sent.Hint || got.What != sent.Error() {
		t.Errorf("over the wire: %+v, sent %+v", got, sent)
	}
}

func TestKindOf(t *testing.T) {
	f := fault.New(fault.Full, "disk full")
	for _, c := range []struct {
		err  error
		want fault.Kind
	}{{nil, ""}, {errors.New("x"), fault.Bug}, {f, fault.Full}, {fmt.Errorf("saving: %w", f), fault.Full}} {
		if got := fault.KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestHintOfLooksThroughTheChain(t *testing.T) {
	inner := fault.New(fault.Timeout, "no answer").Hinted("is the host up")
	if got := fault.HintOf(fault.New(fault.Unreachable, "web1").Caused(inner)); got != "is the host up" {
		t.Errorf("hint %q", got)
	}
}

func TestFromKeepsFaults(t *testing.T) {
	f := fault.New(fault.Conflict, "taken")
	if fault.From(fmt.Errorf("x: %w", f), fault.Bug) != f {
		t.Error("a fault was wrapped again")
	}
	if got := fault.From(errors.New("x"), fault.Corrupt); got.Kind != fault.Corrupt {
		t.Errorf("kind %q", got.Kind)
	}
}
