package elf

import (
	"fmt"
	"slices"
)

// rules returns what is known about every component; docs/components.md says the same in words.
// Texts were taken from the components' own releases as Debian 12, npm and Maven ship them.
func rules() []rule {
	return slices.Concat(opensslRules(), tlsRules(), packingRules(), dataRules(), networkRules(), libcRules(), runtimeRules(), serverRules())
}

// dated is OpenSSL's version text: "OpenSSL 1.0.1e-fips 11 Feb 2013"; until 0.9.7 the month stood first.
const dated = `OpenSSL (\d\.\d+\.\d+[a-z]{0,2}(?:-(?:alpha|beta|pre)\d+)?)(?:[-+ (][-+ ()A-Za-z0-9]{0,24})? +(?:\d{1,2} [A-Z][a-z]{2}|[A-Z][a-z]{2} +\d{1,2}) \d{4}`

// opensslRules are OpenSSL and what grew out of it.
func opensslRules() []rule {
	return []rule{
		{
			name:    "openssl",
			sonames: []string{`lib(ssl|crypto)\.so\.(0\.9\.\d+|1\.0\.\d|10|1\.1|3|4)`, `libssl\.so\.6`, `libcrypto\.so\.6`},
			versions: []versionRule{
				{key: "part of OpenSSL ", before: 24, pattern: `part of ` + dated, proves: true},
				{key: "OpenSSL ", before: 32, pattern: dated},
			},
			code: []string{
				"evp_enc.c", "a_object.c", "bn_lib.c", "s3_lib.c", "ssl_lib.c", "x509_vfy.c", "p12_key.c", "rsa_gen.c", "ec_lib.c", "ssl_sess.c",
				"OPENSSLDIR: \"", "ssl/statem/statem_lib.c", "crypto/evp/evp_fetch.c",
			},
			needs:   3,
			build:   "compiler: ",
			symbols: []string{"EVP_EncryptInit_ex", "SSL_do_handshake", "BN_mod_exp_mont", "OPENSSL_init_crypto", "SSLeay_version", "SSL_CTX_use_PrivateKey_file"},
			both:    true, // GnuTLS ships look-alikes of some of them
			lone:    `3\.[0-6]\.\d{1,2}`,
			forks:   []string{"libressl", "boringssl", "aws-lc"},
			note:    "libssl carries no version text of its own: it is the libcrypto's in the same process",
		},
		{
			name:     "libressl",
			sonames:  []string{`libtls\.so\.\d+`, `lib(ssl|crypto)\.so\.[3-9]\d`},
			build:    "compiler: ",
			versions: []versionRule{{key: "LibreSSL ", pattern: `^LibreSSL (\d+\.\d+\.\d+)`}},
			code: []string{
				"evp/evp_enc.c", "asn1/a_object.c", "bn/bn_lib.c", "x509/x509_verify.c", "tls13_lib.c", "tls13_client.c", "ssl_tlsext.c", "tls13_handshake.c",
			},
			needs:   4,
			symbols: []string{"SSL_CTX_set1_groups_list_libressl", "x509_verify_ctx_new_from_xsc", "tls13_legacy_accept", "tls13_ctx_new", "tls_config_set_ca_file"},
		},
		{
			name: "boringssl",
			code: []string{
				"boringssl/crypto/", "boringssl/ssl/", "boringssl/src/crypto/", "boringssl/src/ssl/", "crypto/fipsmodule/bn/", "crypto/fipsmodule/ec/", "crypto/fipsmodule/rsa/", "OpenSSL 1.1.1 (compatible; BoringSSL)",
			},
			needs:   2,
			symbols: []string{"BORINGSSL_self_test", "SSL_CTX_set_grease_enabled", "CRYPTO_BUFFER_new_from_CBS", "SSL_CTX_set_reverify_on_resume"},
			forks:   []string{"aws-lc"},
			note:    "BoringSSL has no versions: the build's date or commit would settle it",
		},
		{
			name:     "aws-lc",
			versions: []versionRule{{key: "AWS-LC FIPS", pattern: `^AWS-LC FIPS[ -]?(\d+\.\d+\.\d+)`}},
			code:     []string{"aws-lc/crypto/", "aws-lc/ssl/", "OpenSSL 1.1.1 (compatible; AWS-LC "},
			needs:    1,
			symbols:  []string{"awslc_api_version_num", "AWSLC_thread_local_clear", "awslc_version_string"},
		},
	}
}

// tlsRules are the other libraries that speak TLS.
func tlsRules() []rule {
	return []rule{
		{
			name:     "gnutls",
			sonames:  []string{`libgnutls\.so\.\d+`},
			versions: []versionRule{{key: "Enabled GnuTLS ", pattern: `^Enabled GnuTLS (\d+\.\d+\.\d+[-a-z0-9]*)`, proves: true}},
			symbols:  []string{"gnutls_global_init", "gnutls_handshake"},
		},
		{
			name: "nss",
			sonames: []string{
				`libnss3\.so`, `libssl3\.so`, `libsmime3\.so`, `libnssutil3\.so`, `libsoftokn3\.so`, `libfreebl(priv)?3\.so`, `libnssckbi\.so`,
			},
			versions: []versionRule{{key: "Version: NSS ", pattern: `^Version: NSS (\d+\.\d+(?:\.\d+)*)`, proves: true}},
			symbols:  []string{"NSS_NoDB_Init", "NSS_GetVersion", "NSSSSL_GetVersion", "PK11_CreateContextBySymKey"},
			values:   []valueRule{{symbol: "NSS_GetVersion", read: "text"}, {symbol: "NSSSSL_GetVersion", read: "text"}, {symbol: "NSSUTIL_GetVersion", read: "text"}},
			note:     "this part of NSS carries no version of its own: it is libnss3's in the same process",
		},
		{
			name:    "mbedtls",
			sonames: []string{`libmbed(tls|crypto|x509)\.so\.\d+`},
			versions: []versionRule{
				{key: "mbed TLS ", pattern: `^mbed TLS (\d+\.\d+\.\d+)`, proves: true},
				{key: "Mbed TLS ", pattern: `^Mbed TLS (\d+\.\d+\.\d+)`, proves: true},
			},
			code: []string{
				"library/ssl_tls.c", "library/ssl_msg.c", "library/ssl_cli.c", "library/ssl_srv.c", "library/ssl_tls12_client.c", "=> write hello request", "=> derive keys", "=> parse finished",
			},
			needs:   2,
			symbols: []string{"mbedtls_ssl_handshake", "mbedtls_aes_setkey_enc", "mbedtls_x509_crt_parse"},
			values: []valueRule{{symbol: "mbedtls_version_get_number", read: "number", number: func(n uint32) string {
				return fmt.Sprintf("%d.%d.%d", n>>24, n>>16&0xff, n>>8&0xff)
			}}},
			note: "this part of Mbed TLS carries no version of its own: it is libmbedcrypto's in the same process",
		},
	}
}
