package cert_test

import (
	"slices"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/see/keys"
)

func TestTheCatalogueIsByKey(t *testing.T) {
	leaf := certificate(t)
	spki := cert.SPKI(leaf)
	reader := keys.Reader{PID: 7, Unit: "nginx.service", How: "configuration", Says: "ssl_certificate_key in /etc/nginx/nginx.conf"}
	web := keys.Found{Host: "web1", Keys: []keys.Key{
		{SPKI: spki, Type: "ecdsa", Bits: 256, Private: true, Files: []keys.File{{Path: "/etc/ssl/a.key", Holds: "private_key"}, {Path: "/etc/ssl/a.pem", Holds: "certificate"}}, Readers: []keys.Reader{reader}},
		{SPKI: "", Private: true, Encrypted: true, Files: []keys.File{{Path: "/root/locked.key", Holds: "private_key"}}},
	}}
	point, dark := cert.Point{Name: "shop.example", Address: "192.0.2.1:443"}, cert.Point{Name: "shop.example", Address: "192.0.2.2:443"}
	c := cert.Gather(cert.Inputs{
		Hosts: []keys.Found{web}, Silent: []cert.Unseen{{Where: "web2", Why: "no answer"}},
		Served: []cert.Served{
			{Sighting: cert.Sighting{Point: point, Keys: []string{spki}}, Chain: [][]byte{leaf.Raw}},
			{Sighting: cert.Sighting{Point: dark, Unseen: "no answer"}},
		},
		Logged:   []cert.Logged{{DER: leaf.Raw}, {DER: []byte("x")}},
		Declared: []cert.Declared{{Point: point, Pins: []string{spki}, TLSA: []string{"3 1 1 " + spki, "3 0 1 00"}}},
		Affected: []cert.Affected{{Incident: "7", Advisory: "CVE-2014-0160", Host: "web1", PID: 7}, {Incident: "7", Host: "web2", PID: 7}},
	})
	if len(c.Keys) != 1 || len(c.Unseen) != 4 {
		t.Fatalf("%d keys, unseen %+v", len(c.Keys), c.Unseen)
	}
	k := c.Keys[0]
	if len(k.Certificates) != 1 || !slices.Equal(k.Certificates[0].From, []string{"served", "ct"}) || !slices.Equal(k.Holders(), []string{"web1"}) || len(k.Served) != 1 || len(k.Pinned) != 2 {
		t.Errorf("%+v", k)
	}
	if len(k.Exposed) != 1 || k.Exposed[0].How != reader.Says {
		t.Errorf("exposed %+v", k.Exposed)
	}
	if got := c.Find(spki[:8]); len(got) != 1 {
		t.Errorf("found %d keys", len(got))
	}
	if k.Ends().Before(time.Now()) {
		t.Error("it ends in the past")
	}
}

// TestAnAccountsKeyOnAnAffectedHostIsExposed, whoever reads it: root's files are in reach of a program that runs as root, and of a thief who got that far.
func TestAnAccountsKeyOnAnAffectedHostIsExposed(t *testing.T) {
	lies := func(path, spki string) keys.Key {
		return keys.Key{SPKI: spki, Type: "rsa", Bits: 2048, Private: true, Files: []keys.File{{Path: path, Holds: "private_key", Format: "jwk"}}}
	}
	c := cert.Gather(cert.Inputs{
		Hosts:    []keys.Found{{Host: "web1", Keys: []keys.Key{lies("/etc/letsencrypt/accounts/x/0/private_key.json", "aa"), lies("/srv/left/here.pem", "bb"), lies("/srv/other.pem", "cc")}}},
		Affected: []cert.Affected{{Incident: "7", Host: "web1", Unit: "nginx.service"}}, Accounts: map[string]string{"bb": "letsencrypt/le-1.age", "dd": "letsencrypt/le-2.age"},
	})
	for spki, want := range map[string]string{"aa": "certbot", "bb": "letsencrypt/le-1.age", "cc": ""} {
		i := slices.IndexFunc(c.Keys, func(k cert.Key) bool { return k.SPKI == spki })
		if i < 0 || c.Keys[i].Account != want || (len(c.Keys[i].Exposed) > 0) != (want != "") {
			t.Errorf("%s: %+v", spki, c.Keys)
		}
	}
	if len(c.Keys) != 3 {
		t.Error("an account whose key lies nowhere stands in the list")
	}
}
