package rules

import "fmt"

// dated is OpenSSL's version text: "OpenSSL 1.0.1e-fips 11 Feb 2013"; until 0.9.7 the month stood first.
const dated = `OpenSSL (\d\.\d+\.\d+[a-z]{0,2}(?:-(?:alpha|beta|pre)\d+)?)(?:[-+ (][-+ ()A-Za-z0-9]{0,24})? +(?:\d{1,2} [A-Z][a-z]{2}|[A-Z][a-z]{2} +\d{1,2}) \d{4}`

// opensslRules are OpenSSL and what grew out of it.
func opensslRules() []Rule {
	return []Rule{
		{
			Name:    "openssl",
			Sonames: []string{`lib(ssl|crypto)\.so\.(0\.9\.\d+|1\.0\.\d|10|1\.1|3|4)`, `libssl\.so\.6`, `libcrypto\.so\.6`},
			Versions: []Version{
				{Key: "part of OpenSSL ", Before: 24, Pattern: `part of ` + dated, Proves: true},
				{Key: "OpenSSL ", Before: 32, Pattern: dated},
			},
			Code: []string{
				"evp_enc.c", "a_object.c", "bn_lib.c", "s3_lib.c", "ssl_lib.c", "x509_vfy.c", "p12_key.c", "rsa_gen.c", "ec_lib.c", "ssl_sess.c",
				"OPENSSLDIR: \"", "ssl/statem/statem_lib.c", "crypto/evp/evp_fetch.c",
			},
			Needs:   3,
			Build:   "compiler: ",
			Symbols: []string{"EVP_EncryptInit_ex", "SSL_do_handshake", "BN_mod_exp_mont", "OPENSSL_init_crypto", "SSLeay_version", "SSL_CTX_use_PrivateKey_file"},
			Both:    true, // GnuTLS ships look-alikes of some of them
			Lone:    `3\.[0-6]\.\d{1,2}`,
			Forks:   []string{"libressl", "boringssl", "aws-lc"},
			Note:    "libssl carries no version text of its own: it is the libcrypto's in the same process",
		},
		{
			Name:     "libressl",
			Sonames:  []string{`libtls\.so\.\d+`, `lib(ssl|crypto)\.so\.[3-9]\d`},
			Build:    "compiler: ",
			Versions: []Version{{Key: "LibreSSL ", Pattern: `^LibreSSL (\d+\.\d+\.\d+)`}},
			Code: []string{
				"evp/evp_enc.c", "asn1/a_object.c", "bn/bn_lib.c", "x509/x509_verify.c", "tls13_lib.c", "tls13_client.c", "ssl_tlsext.c", "tls13_handshake.c",
			},
			Needs:   4,
			Symbols: []string{"SSL_CTX_set1_groups_list_libressl", "x509_verify_ctx_new_from_xsc", "tls13_legacy_accept", "tls13_ctx_new", "tls_config_set_ca_file"},
		},
		{
			Name: "boringssl",
			Code: []string{
				"boringssl/crypto/", "boringssl/ssl/", "boringssl/src/crypto/", "boringssl/src/ssl/", "crypto/fipsmodule/bn/", "crypto/fipsmodule/ec/", "crypto/fipsmodule/rsa/", "OpenSSL 1.1.1 (compatible; BoringSSL)",
			},
			Needs:   2,
			Symbols: []string{"BORINGSSL_self_test", "SSL_CTX_set_grease_enabled", "CRYPTO_BUFFER_new_from_CBS", "SSL_CTX_set_reverify_on_resume"},
			Forks:   []string{"aws-lc"},
			Note:    "BoringSSL has no versions: the build's date or commit would settle it",
		},
		{
			Name:     "aws-lc",
			Versions: []Version{{Key: "AWS-LC FIPS", Pattern: `^AWS-LC FIPS[ -]?(\d+\.\d+\.\d+)`}},
			Code:     []string{"aws-lc/crypto/", "aws-lc/ssl/", "OpenSSL 1.1.1 (compatible; AWS-LC "},
			Needs:    1,
			Symbols:  []string{"awslc_api_version_num", "AWSLC_thread_local_clear", "awslc_version_string"},
		},
	}
}

// tlsRules are the other libraries that speak TLS.
func tlsRules() []Rule {
	return []Rule{
		{
			Name:     "gnutls",
			Sonames:  []string{`libgnutls\.so\.\d+`},
			Versions: []Version{{Key: "Enabled GnuTLS ", Pattern: `^Enabled GnuTLS (\d+\.\d+\.\d+[-a-z0-9]*)`, Proves: true}},
			Symbols:  []string{"gnutls_global_init", "gnutls_handshake"},
		},
		{
			Name: "nss",
			Sonames: []string{
				`libnss3\.so`, `libssl3\.so`, `libsmime3\.so`, `libnssutil3\.so`, `libsoftokn3\.so`, `libfreebl(priv)?3\.so`, `libnssckbi\.so`,
			},
			Versions: []Version{{Key: "Version: NSS ", Pattern: `^Version: NSS (\d+\.\d+(?:\.\d+)*)`, Proves: true}},
			Symbols:  []string{"NSS_NoDB_Init", "NSS_GetVersion", "NSSSSL_GetVersion", "PK11_CreateContextBySymKey"},
			Values:   []Value{{Symbol: "NSS_GetVersion", Read: "text"}, {Symbol: "NSSSSL_GetVersion", Read: "text"}, {Symbol: "NSSUTIL_GetVersion", Read: "text"}},
			Note:     "this part of NSS carries no version of its own: it is libnss3's in the same process",
		},
		{
			Name:    "mbedtls",
			Sonames: []string{`libmbed(tls|crypto|x509)\.so\.\d+`},
			Versions: []Version{
				{Key: "mbed TLS ", Pattern: `^mbed TLS (\d+\.\d+\.\d+)`, Proves: true},
				{Key: "Mbed TLS ", Pattern: `^Mbed TLS (\d+\.\d+\.\d+)`, Proves: true},
			},
			Code: []string{
				"library/ssl_tls.c", "library/ssl_msg.c", "library/ssl_cli.c", "library/ssl_srv.c", "library/ssl_tls12_client.c", "=> write hello request", "=> derive keys", "=> parse finished",
			},
			Needs:   2,
			Symbols: []string{"mbedtls_ssl_handshake", "mbedtls_aes_setkey_enc", "mbedtls_x509_crt_parse"},
			Values: []Value{{Symbol: "mbedtls_version_get_number", Read: "number", Number: func(n uint32) string {
				return fmt.Sprintf("%d.%d.%d", n>>24, n>>16&0xff, n>>8&0xff)
			}}},
			Note: "this part of Mbed TLS carries no version of its own: it is libmbedcrypto's in the same process",
		},
	}
}
