package plan_test

import (
	"slices"
	"testing"
	"time"

	"staunch/steer/plan"
)

func TestVotersReadHowLongRingsAreReallyWatched(t *testing.T) {
	pace, err := plan.PaceOf(plan.Now)
	if err != nil {
		t.Fatal(err)
	}
	before := len(pace.GaveUp)
	pace.Watch(90 * time.Second)
	if pace.SoakMS != 90_000 || len(pace.GaveUp) != before || !slices.Contains(pace.GaveUp, "each ring is watched for 1m30s, as was asked for") {
		t.Errorf("%+v", pace)
	}
	if again, err := plan.PaceOf(plan.Now); err != nil || again.SoakMS != 60_000 || len(again.GaveUp) != before {
		t.Errorf("the urgency itself changed: %+v, %v", again, err)
	}
}
