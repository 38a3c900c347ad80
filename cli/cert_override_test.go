package cli_test

import (
	"regexp"
	"testing"

	"staunch/mend/cert"
	"staunch/testbed/pebble"
)

// TestAnOverrideFromTheCommandLine: the CDN goes on serving the old key. Two custodians sign a plan that names this address and says why: the
// run does not wait for it, the key is revoked, and what may break is named by the plan and by the report.
func TestAnOverrideFromTheCommandLine(t *testing.T) {
	x := newShop(t, pebble.Options{})
	x.settings("")
	x.must(0, "cert", "account", "pebble", "account.age")
	replace := []string{"cert", "replace", "shop.example", "--drill", "--urgency", "now", "--soak", "0s"}
	x.must(0, replace...)
	x.voted("1.1")
	has(t, "new keys", x.must(0, "incident", "run", "1"), "plan 1.1: done")
	cdn := regexp.MustCompile(`cdn\.shop\.example@127\.0\.0\.3:\d+`).FindString(x.must(0, "cert", "list", "--graph"))
	out := x.must(0, append(replace, "--incident", "1", "--override", cdn, "--reason", "the CDN is given up tonight")...)
	has(t, "the rollout", out, "OVERRIDE (the CDN is given up tonight): the revocation does not wait for "+cdn, "if two of ada, ben approve this plan")
	x.must(0, "approve", "1.2", "--key", x.path("ada.key"))
	x.must(3, "incident", "run", "1")
	if x.status() != "Valid" {
		t.Fatalf("one custodian's override counted: %s", x.status())
	}
	x.must(0, "approve", "1.2", "--key", x.path("ben.key"))
	has(t, "the run", x.must(0, "incident", "run", "1"), cdn, "plan 1.2: done")
	if x.status() != "Revoked" {
		t.Errorf("the old certificate is %s", x.status())
	}
	has(t, "the report", x.must(0, "incident", "report", "1"), "OVERRIDDEN (the CDN is given up tonight): "+cdn)
	has(t, "the watch", x.must(1, "cert", "watch", "--soon", "1h"), cdn, "serves the old key "+cert.SPKI(x.old)[:12]+" again")
}
