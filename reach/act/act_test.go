package act_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/reach/act"
)

const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// revocation names one certificate, made here.
func revocation() *act.RevokeOwnWith {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return &act.RevokeOwnWith{SPKI: hex.EncodeToString(sum[:]), Certificates: [][]byte{der}, Directory: "https://ca.example/directory"}
}

// examples are well-formed parameters of every kind.
func examples() map[act.Kind]act.Params {
	units := &act.UnitsWith{Units: []string{"nginx.service"}}
	return map[act.Kind]act.Params{
		act.Upgrade: &act.UpgradeWith{Packages: []act.Package{{Name: "libssl1.0.0", Version: "1.0.1e-2+deb7u5"}}},
		act.Restart: units, act.Reload: units, act.Stop: units, act.Start: units, act.Mask: units, act.Unmask: units,
		act.Hook:       &act.HookWith{Name: "rotate", Params: map[string]string{"SERVICE": "shop"}},
		act.Place:      &act.PlaceWith{Files: []act.File{{Path: "/etc/nginx/nginx.conf", Pieces: []act.Piece{{SHA256: digest}}}}, Validator: "nginx"},
		act.Drain:      &act.DrainWith{Service: "shop", Hook: "balancer"},
		act.Undrain:    &act.DrainWith{Service: "shop", Hook: "balancer"},
		act.Reboot:     &act.RebootWith{BootID: "0f0e0d0c-0b0a-0908-0706-050403020100"},
		act.Signal:     &act.SignalWith{PID: 4711, Start: time.Date(2014, 4, 7, 20, 0, 0, 0, time.UTC), Signal: "TERM"},
		act.InstallLib: &act.InstallLibWith{SHA256: digest, Path: "/usr/local/lib/libssl.so.1.0.0", Links: []string{"libssl.so.1"}},
		act.MakeKey:    &act.MakeKeyWith{Name: "shop-2", Type: "ecdsa-p256", Names: []string{"shop.example"}},
		act.RevokeOwn:  revocation(),
		act.BarKey:     &act.BarKeyWith{SPKI: digest},
		act.Unseal:     &act.UnsealWith{Name: "shop-2", Sealed: "-----BEGIN AGE ENCRYPTED FILE-----", SPKI: digest},
	}
}

func TestEveryKindHasParametersWithOneSpelling(t *testing.T) {
	for _, kind := range act.Kinds() {
		with, known := examples()[kind]
		if !known {
			t.Errorf("no example of %s", kind)
			continue
		}
		a, err := act.New(kind, with)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		var object map[string]any
		if err := json.Unmarshal(a.With, &object); err != nil {
			t.Fatal(err)
		}
		object["surprise"] = 1
		b, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (act.Act{Kind: kind, With: b}).Params(); !fault.Is(err, fault.Usage) {
			t.Errorf("%s took an unknown key: %v", kind, err)
		}
	}
}

func TestParametersThatMeanSomethingElseAreRefused(t *testing.T) {
	for text, kind := range map[string]act.Kind{
		`{"units":["nginx"]}`:                                                  act.Restart,
		`{"units":["*.service"]}`:                                              act.Restart,
		`{"units":["../x.service"]}`:                                           act.Restart,
		`{"units":[]}`:                                                         act.Stop,
		`{"Units":["nginx.service"]}`:                                          act.Restart,
		`{"units":["nginx.service"],"gone":null}`:                              act.Restart,
		`{"units":["nginx.service"],"confirm_ms":1}`:                           act.Stop,
		`{"units":["a.service"],"units":["b.service"]}`:                        act.Stop,
		`{"packages":[{"name":"-o","version":"1"}]}`:                           act.Upgrade,
		`{"packages":[{"name":"libssl3","version":"*"}]}`:                      act.Upgrade,
		`{"packages":[{"name":"libssl3","version":""}]}`:                       act.Upgrade,
		`{"packages":[{"name":"a","version":"1"},{"name":"a","version":"2"}]}`: act.Upgrade,
		`{"name":"../../bin/sh"}`:                                              act.Hook,
		`{"name":"x","params":{"LD-PRELOAD":"y"}}`:                             act.Hook,
		`{"files":[{"path":"etc/x","pieces":[{"text":"x"}]}]}`:                 act.Place,
		`{"files":[{"path":"/etc/../x","pieces":[{"text":"x"}]}]}`:             act.Place,
		`{"files":[{"path":"/x","pieces":[{"text":"x"}],"mode":"4755"}]}`:      act.Place,
		`{"files":[{"path":"/x","pieces":[{"text":"x","key":"k"}]}]}`:          act.Place,
		`{"files":[{"path":"/x"}]}`:                                            act.Place,
		`{"files":[{"path":"/x","pieces":[{"text":"x"}]}],"validator":"sh"}`:   act.Place,
		`{"pid":1,"start":"2014-04-07T20:00:00Z","signal":"TERM"}`:             act.Signal,
		`{"pid":-1,"start":"2014-04-07T20:00:00Z","signal":"TERM"}`:            act.Signal,
		`{"pid":7,"start":"2014-04-07T20:00:00Z","signal":"SEGV"}`:             act.Signal,
		`{"boot_id":""}`: act.Reboot,
		`{"sha256":"` + digest + `","path":"/usr/bin/sudo"}`: act.InstallLib,
		`{"name":"k","type":"dsa","names":["a"]}`:            act.MakeKey,
		`{"name":"k","type":"ed25519","names":["ä"]}`:        act.MakeKey,
		`{}`: act.Kind("shell"),
	} {
		if p, err := (act.Act{Kind: kind, With: json.RawMessage(text)}).Params(); err == nil {
			t.Errorf("%s %s was taken as %+v", kind, text, p)
		}
	}
}

func TestOrdersOnTheirFace(t *testing.T) {
	good := act.Order{ID: act.OrderID(digest, "restart", "web1", 1)}
	for name, change := range map[string]func(*act.Order){
		"no id":           func(o *act.Order) { o.ID = "" },
		"newline in id":   func(o *act.Order) { o.ID = "a\nb" },
		"undo of nothing": func(o *act.Order) { o.Undo = true },
		"of without undo": func(o *act.Order) { o.Of = "x" },
		"of itself":       func(o *act.Order) { o.Undo, o.Of = true, o.ID },
		"undo + confirm":  func(o *act.Order) { o.Undo, o.Confirm, o.Of = true, true, "x" },
		"a day":           func(o *act.Order) { o.DeadlineMS = 86_400_000 },
	} {
		o := good
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzParams(f *testing.F) {
	for kind, with := range examples() {
		a, err := act.New(kind, with)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(kind), []byte(a.With))
	}
	f.Fuzz(func(t *testing.T, kind string, with []byte) {
		p, err := act.Act{Kind: act.Kind(kind), With: with}.Params()
		if err != nil {
			return
		}
		again, err := act.New(act.Kind(kind), p)
		if err != nil {
			t.Fatalf("%s: what was decoded cannot be made: %v", with, err)
		}
		a, errA := mandate.Canonical(json.RawMessage(with))
		b, errB := mandate.Canonical(again.With)
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Fatalf("two spellings: %s and %s", a, b)
		}
	})
}
