package elf

import (
	"strings"
	"testing"
)

// holding is a program with these texts among its constants.
func holding(t *testing.T, texts ...string) []Component {
	t.Helper()
	body := []byte("\x00" + strings.Join(texts, "\x00") + "\x00")
	return look(t, tiny(machineX86, body, segment{kind: typeLoad, flags: 4, size: uint64(120 + len(body)), mem: 1 << 20})).Components
}

// OpenSSL's texts of twenty-five years, and texts that only look like one.
func TestOpenSSLsVersionTexts(t *testing.T) {
	for text, want := range map[string]string{
		"OpenSSL 0.9.7a Feb 19 2003":             "0.9.7a",
		"OpenSSL 0.9.8e-fips-rhel5 01 Jul 2008":  "0.9.8e",
		"OpenSSL 0.9.8zh 3 Dec 2015":             "0.9.8zh",
		"OpenSSL 1.0.1e-fips 11 Feb 2013":        "1.0.1e",
		"OpenSSL 1.0.2-beta1 24 Feb 2014":        "1.0.2-beta1",
		"OpenSSL 1.1.0-pre5 (beta) 19 Apr 2016":  "1.1.0-pre5",
		"OpenSSL 1.1.1k  FIPS 25 Mar 2021":       "1.1.1k",
		"OpenSSL 3.0.0-alpha17 20 May 2021":      "3.0.0-alpha17",
		"OpenSSL 3.1.4+quic 24 Oct 2023":         "3.1.4",
		"OpenSSL 3.5.0 8 Apr 2025":               "3.5.0",
		"built with OpenSSL 3.0.22 25 Aug 2026":  "3.0.22",
		"OpenSSL 1.1.1 (compatible; BoringSSL)":  "",
		"OpenSSL 1.1.0 or newer is needed":       "",
		"OpenSSL 3.2.0-dev ":                     "",
		"see OpenSSL 1.0.1 in the year 11 X 201": "",
	} {
		got := holding(t, text)
		if want == "" && len(got) != 0 || want != "" && (len(got) != 1 || got[0].Version != want || got[0].Linkage != Headers) {
			t.Errorf("%q: %+v, want %q", text, got, want)
		}
	}
}

// A text of libcrypto's own code proves the code, and its record of the compiler is kept.
func TestOpenSSLsOwnTextsProveItsCode(t *testing.T) {
	got := holding(t, "RSA part of OpenSSL 1.0.1e 11 Feb 2013", "compiler: gcc -O3 -DOPENSSL_NO_HEARTBEATS")
	if len(got) != 1 || got[0].Linkage != Static || got[0].Version != "1.0.1e" {
		t.Fatalf("%+v", got)
	}
	for _, e := range got[0].Evidence {
		if e.Kind == "build_flag" && strings.HasSuffix(e.Detail, "-DOPENSSL_NO_HEARTBEATS") {
			return
		}
	}
	t.Errorf("the compiler's line is missing: %+v", got[0].Evidence)
}

// LibreSSL grew out of OpenSSL: the same source files, its own version text.
func TestLibreSSLIsNotTakenForOpenSSL(t *testing.T) {
	got := holding(t, "LibreSSL 3.8.2", "evp/evp_enc.c", "asn1/a_object.c", "bn/bn_lib.c", "tls13_client.c", "tls13_lib.c", "ssl_lib.c", "s3_lib.c")
	if len(got) != 1 || got[0].Name != "libressl" || got[0].Version != "3.8.2" || got[0].Linkage != Static {
		t.Errorf("%+v", got)
	}
	if got := holding(t, "LibreSSL 3.8.2"); len(got) != 1 || got[0].Linkage != Headers {
		t.Errorf("a text alone: %+v", got)
	}
	if got := holding(t, "LibreSSL ", "LibreSSL is not supported"); len(got) != 0 {
		t.Errorf("no version: %+v", got)
	}
}

// A version that stands alone is believed only where it can be nobody else's.
func TestAmbiguousVersionsAreUnknown(t *testing.T) {
	sqlite := []string{"SQLite format 3", "sqlite_rename_table(%Q", "sqlite_autoindex_%", "sqlite_stat1"}
	for version, texts := range map[string][]string{
		"3.40.1": append([]string{"3.40.1"}, sqlite...),
		"":       append([]string{"3.40.1", "3.41.0"}, sqlite...),
	} {
		got := holding(t, texts...)
		if len(got) != 1 || got[0].Name != "sqlite" || got[0].Version != version || got[0].Linkage != Static {
			t.Errorf("want %q: %+v", version, got)
		}
	}
}
