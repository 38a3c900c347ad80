package blast_test

import (
	"reflect"
	"strings"
	"testing"

	"staunch/incident/blast"
	"staunch/reach/fleet"
	"staunch/see/keys"
)

func traces() blast.Traces {
	spki := strings.Repeat("1f", 32)
	nginx := keys.Reader{PID: 10, Name: "nginx", Unit: "nginx.service", How: "configuration", Says: "ssl_certificate_key in /etc/nginx/nginx.conf"}
	return blast.Traces{
		Found: map[string]*keys.Found{
			"web1": {Keys: []keys.Key{{
				SPKI: spki, Type: "rsa", Bits: 2048, Private: true, Readers: []keys.Reader{nginx},
				Files:        []keys.File{{Path: "/etc/ssl/private/shop.key", Holds: "private_key"}},
				Certificates: []keys.Certificate{{Subject: "CN=shop.example.org", Names: []string{"shop.example.org"}}},
			}}, Secrets: []keys.Secret{
				{Kind: keys.Session, Name: "SESSION_SECRET", Where: "environment", Readers: []keys.Reader{nginx}},
				{Kind: keys.Password, Name: "CRON_PASSWORD", Where: "environment", Readers: []keys.Reader{{PID: 99, Name: "cron", Unit: "cron.service"}}},
			}},
			"db1": {Keys: []keys.Key{{SPKI: spki, Type: "rsa", Private: true, Files: []keys.File{{Path: "/root/shop.key", Holds: "private_key"}}}}, Unseen: []keys.Unseen{{PID: 5, Reason: "not allowed"}}},
		},
		Affected: map[string]map[string]bool{"web1": {"nginx.service": true}},
		Fleet:    &fleet.Fleet{Services: []fleet.Service{{Name: "shop", Hosts: []string{"web1", "web2"}, Units: []string{"nginx.service"}, Holds: []string{"customer names", "passwords"}, Owner: "cleo"}}},
		Serves:   map[string][]string{spki: {"shop.example.org:443"}},
		Failed:   map[string]string{"silent": "connection timed out"},
	}
}

func TestBlastRadius(t *testing.T) {
	b := blast.Of(traces())
	if len(b.Keys) != 1 || len(b.Secrets) != 1 || b.Secrets[0].Name != "SESSION_SECRET" {
		t.Fatalf("%+v; want one key, and the secret of nginx but not of cron", b)
	}
	k := b.Keys[0]
	if !reflect.DeepEqual(k.Also, []string{"db1"}) || !reflect.DeepEqual(k.Readers, []string{"web1 nginx.service"}) || len(k.Endpoints) != 1 {
		t.Errorf("the key: %+v; want it in reach of nginx on web1, also on db1, served at the shop", k)
	}
	if len(b.Unseen) != 2 || len(b.Services) != 1 {
		t.Errorf("unseen %v, services %v", b.Unseen, b.Services)
	}
}
