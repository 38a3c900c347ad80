package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/picture"
	"staunch/see/keys"
)

// shop is a catalogue with everything that the picture can show, and names that would like to be more than text.
func shop() cert.Catalogue {
	day := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	k := cert.Key{
		SPKI: strings.Repeat("ab12", 16), Type: "ecdsa", Bits: 256, Exposed: []cert.Exposure{{Incident: "7", Host: "web1", Unit: "nginx.service", How: "ssl_certificate_key"}}, Pinned: []string{"app (pin)"},
		Certificates: []cert.Certificate{
			{Serial: "04ab", Names: []string{"shop.example.org", "www.shop.example.org", "a.b.c"}, Issuer: "CN=R11,O=Let's Encrypt,C=US", NotAfter: day, From: []string{"file", "served"}},
			{Serial: "0f", Names: []string{"mail.example.org</text><script>alert(1)</script>"}, Issuer: "CN=\x1b[31mCorp", NotAfter: day, From: []string{"ct"}},
		},
		Readers: []cert.ReaderAt{{Host: "web1", Reader: keys.Reader{PID: 1, Name: "nginx", Unit: "nginx.service"}}, {Host: "web1", Reader: keys.Reader{PID: 2, Name: "nginx", Unit: "nginx.service"}}},
		Edges:   []string{"cdn1"},
	}
	for i := range 3 {
		k.Files = append(k.Files, cert.FileAt{Host: fmt.Sprintf("web%d", i), File: keys.File{Path: "/etc/ssl/private/a/rather/long/path/to/shop.example.org.pem", Holds: "both", Mode: "0640", Owner: "root"}, Private: i != 2})
	}
	for i := range 40 {
		k.Served = append(k.Served, cert.Point{Name: "shop.example.org", Address: fmt.Sprintf("192.0.2.%d:443", i), SNI: "www.shop.example.org"})
	}
	return cert.Catalogue{Keys: []cert.Key{k, {SPKI: strings.Repeat("cd", 32), Type: "rsa", Bits: 2048}}, Unseen: []cert.Unseen{{Where: "web9", Why: "no answer <b>"}}}
}

func who(string) string { return "letsencrypt (ann, ben)" }

// wellFormed reads everything, which fails where something is not closed or not escaped.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %.300s", err, text)
		}
	}
}

func TestThePictureShowsWhatHangsOnAKey(t *testing.T) {
	c := shop()
	file := picture.File(c, who)
	wellFormed(t, file)
	for _, want := range []string{"key abab", "EXPOSED by incident 7", "a new key breaks app (pin)", "serial 04ab", "account: letsencrypt (ann, ben)", "read by nginx nginx.service", "192.0.2.0:443 as www.shop", "and 30 more", "no certificate is known", "ecdsa-256, ends 2027-02-01"} {
		if !strings.Contains(strings.ReplaceAll(file, "ab12ab12", "abab"), want) {
			t.Errorf("lacks %q", want)
		}
	}
	var b bytes.Buffer
	if err := picture.Page(&b, c, who, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "\x1b", "no answer <b>"} {
		if strings.Contains(b.String(), bad) || strings.Contains(file, bad) {
			t.Errorf("%q was let through", bad)
		}
	}
	if n := strings.Count(b.String(), "<svg"); n != 2 {
		t.Errorf("%d pictures", n)
	}
	if dir := os.Getenv("STAUNCH_LOOK"); dir != "" { // for a look with a browser
		for name, text := range map[string]string{"keys.html": b.String(), "keys.svg": file} {
			if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func FuzzPicture(f *testing.F) {
	f.Add("a.example", "</svg>", "\x00\x1b]0;x")
	f.Fuzz(func(t *testing.T, name, path, issuer string) {
		c := cert.Catalogue{Keys: []cert.Key{{
			SPKI: name, Certificates: []cert.Certificate{{Names: []string{name}, Issuer: issuer}}, Files: []cert.FileAt{{Host: issuer, File: keys.File{Path: path}}}, Served: []cert.Point{{Name: path, SNI: issuer}},
		}}}
		wellFormed(t, picture.File(c, func(s string) string { return s }))
	})
}
