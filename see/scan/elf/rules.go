package elf

import (
	"fmt"
	"slices"
)

// rules returns what is known about every component; docs/components.md says the same in words.
// Texts were taken from the components' own releases as Debian 12, npm and Maven ship them.
func rules() []rule {
	return slices.Concat(tlsRules(), libraryRules(), runtimeRules(), serverRules())
}

// dated is OpenSSL's version text: "OpenSSL 1.0.1e-fips 11 Feb 2013"; until 0.9.7 the month stood first.
const dated = `OpenSSL (\d\.\d+\.\d+[a-z]{0,2}(?:-(?:alpha|beta|pre)\d+)?)(?:[-+ (][-+ ()A-Za-z0-9]{0,24})? +(?:\d{1,2} [A-Z][a-z]{2}|[A-Z][a-z]{2} +\d{1,2}) \d{4}`

func tlsRules() []rule {
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

func libraryRules() []rule {
	return []rule{
		{
			name:    "zlib",
			sonames: []string{`libz\.so\.1`},
			versions: []versionRule{
				{key: " inflate 1.", pattern: `^ inflate (1\.\d+\.\d+(?:\.\d+)?) Copyright \d{4}-\d{4} Mark Adler`, proves: true},
				{key: " deflate 1.", pattern: `^ deflate (1\.\d+\.\d+(?:\.\d+)?) Copyright \d{4}-\d{4} Jean-loup Gailly`, proves: true},
			},
			symbols: []string{"inflateInit2_", "deflateInit2_", "Cr_z_inflateInit2_", "inflateBack"},
			values:  []valueRule{{symbol: "zlibVersion", read: "text"}, {symbol: "Cr_z_zlibVersion", read: "text"}},
		},
		{
			name:    "libcurl",
			sonames: []string{`libcurl(-gnutls|-nss)?\.so\.\d+`},
			versions: []versionRule{
				{key: "CLIENT libcurl ", pattern: `^CLIENT libcurl (\d+\.\d+\.\d+(?:-DEV)?)`, proves: true},
				{key: "libcurl/", pattern: `^libcurl/(\d+\.\d+\.\d+(?:-DEV)?)$`},
			},
			code: []string{
				"A libcurl function was given a bad argument", "Unrecognized content encoding type. libcurl understands",
				"generated by libcurl! Edit at your own risk", "Connection #%", "API function called from within callback",
			},
			needs:   3,
			symbols: []string{"curl_easy_perform", "curl_multi_perform"},
		},
		{
			name:    "libwebp",
			sonames: []string{`libwebp(decoder)?\.so\.\d+`},
			code: []string{
				// the sizes of the lossless decoder's Huffman tables, as 16 and as 32 bit numbers (src/dec/vp8l_dec.c)
				"\x8a\x0b\x8c\x0b\x8e\x0b\x92\x0b\x9a\x0b\xaa\x0b\xca\x0b\x0a\x0c\x8c\x0c\x8c\x0d\x8c\x0f\x8c\x13",
				"\x8a\x0b\x00\x00\x8c\x0b\x00\x00\x8e\x0b\x00\x00\x92\x0b\x00\x00\x9a\x0b\x00\x00\xaa\x0b\x00\x00",
			},
			needs:   1,
			symbols: []string{"WebPDecode", "WebPGetDecoderVersion", "WebPGetEncoderVersion", "WebPEncode"},
			values:  []valueRule{{symbol: "WebPGetDecoderVersion", read: "number", number: bytesVersion}, {symbol: "WebPGetEncoderVersion", read: "number", number: bytesVersion}},
			note:    "libwebp holds no version text: only its functions tell it, and their names are stripped here",
		},
		{
			name:    "liblzma",
			sonames: []string{`liblzma\.so\.5`},
			code: []string{
				// the range coder's price table, computed at build time only by liblzma (src/liblzma/rangecoder/price_table.c)
				"\x80\x67\x5b\x54\x4e\x49\x45\x42\x3f\x3d\x3a\x38\x36\x34\x33\x31\x30\x2e\x2d\x2c\x2b\x2a\x29\x28",
				// the second table of its four-at-a-time CRC-64, which no other decoder of xz files uses (src/liblzma/check/crc64_table_le.h)
				"\x0d\xf1\xd0\x5c\x92\x79\xe9\x54\x1a\xe2\xa1\xb9\x24\xf3\xd2\xa9",
			},
			needs:   1,
			symbols: []string{"lzma_stream_decoder", "lzma_easy_encoder", "lzma_version_number"},
			values: []valueRule{{symbol: "lzma_version_number", read: "number", number: func(n uint32) string {
				return fmt.Sprintf("%d.%d.%d", n/10000000, n/10000%1000, n/10%1000) + map[uint32]string{0: "alpha", 1: "beta"}[n%10]
			}}},
			lone: `5\.\d{1,2}\.\d{1,2}(?:alpha|beta)?`,
		},
		{
			name:     "expat",
			sonames:  []string{`libexpatw?\.so\.\d+`},
			versions: []versionRule{{key: "expat_2.", pattern: `^expat_(2\.\d+\.\d+)$`, proves: true}, {key: "expat_1.", pattern: `^expat_(1\.\d+\.\d+)$`, proves: true}},
			symbols:  []string{"XML_ParserCreateNS", "XML_ParseBuffer"},
		},
		{
			name:    "sqlite",
			sonames: []string{`libsqlite3\.so\.\d+`},
			code: []string{
				"SQLite format 3\x00", "sqlite_rename_table(%Q", "sqlite_autoindex_%", "unable to delete/modify user-function due to active statements", "sqlite_stat1",
			},
			needs:   3,
			symbols: []string{"sqlite3_prepare_v2", "sqlite3_open_v2"},
			values: []valueRule{{symbol: "sqlite3_version", read: "text"}, {symbol: "sqlite3_libversion_number", read: "number", number: func(n uint32) string {
				return fmt.Sprintf("%d.%d.%d", n/1000000, n/1000%1000, n%1000)
			}}},
			lone: `3\.(?:[7-9]|[1-9]\d)\.\d{1,2}(?:\.\d)?`,
		},
		{
			name:     "libssh",
			sonames:  []string{`libssh(_threads)?\.so\.\d+`},
			versions: []versionRule{{key: "SSH-2.0-libssh", pattern: `^SSH-2\.0-libssh[_-](\d+\.\d+\.\d+)$`}},
			code:     []string{"libssh %s, using threading", "libssh contributors. Distributed under the LGPL", "ssh_packet_disconnect_callback", "ssh_packet_unimplemented", "kex error : no match for method"},
			needs:    2,
			symbols:  []string{"ssh_packet_disconnect_callback", "ssh_userauth_publickey_auto"},
		},
		{
			name:    "glibc",
			sonames: []string{`libc\.so\.6(\.1)?`, `ld-linux[-a-z0-9_]*\.so\.\d`, `ld64\.so\.\d`, `ld\.so\.1`, `libresolv\.so\.2`},
			versions: []versionRule{
				{key: ") stable release version ", before: 48, pattern: `(?:GNU C Library|ld\.so) \([^)]{0,40}\) stable release version (\d+\.\d+(?:\.\d+)?)`, proves: true},
				{key: "GNU C Library stable release version ", pattern: `^GNU C Library stable release version (\d+\.\d+(?:\.\d+)?)`, proves: true},
			},
			code: []string{
				"FATAL: kernel too old", "glibc.malloc.check", "malloc_consolidate(): unaligned fastbin chunk", "malloc(): corrupted top size",
				"malloc(): memory corruption", "free(): invalid next size (fast)", "double free or corruption (fasttop)", "glibc detected an invalid stdio handle",
				"length accounting in _dl_exception_create_format", "GLIBC_TUNABLES",
			},
			needs:  3,
			values: []valueRule{{symbol: "gnu_get_libc_version", read: "text"}},
			note:   "no version text: for libraries of the C library it is libc.so.6's in the same process, in a static program it is not recorded",
		},
		{
			name:    "musl",
			sonames: []string{`libc\.musl-[a-z0-9_]+\.so\.1`, `ld-musl-[a-z0-9_]+\.so\.1`},
			self:    []string{"musl libc ("},
			code:    []string{"musl libc (", "-0X+0X 0X-0x+0x 0x", "No error information\x00Illegal byte sequence"},
			needs:   1,
			symbols: []string{"__init_libc", "__libc_start_init"},
			lone:    `[01]\.\d{1,2}\.\d{1,2}`,
			loneOwn: true, // a static program does not hold musl's version: any that is met there is something else's
			note:    "a static program does not hold musl's version",
		},
		{
			name:    "nghttp2",
			sonames: []string{`libnghttp2\.so\.\d+`},
			code: []string{
				"Stream ID has reached the maximum. Therefore no stream ID is available", "The transmission is not allowed for this stream",
				"Flooding was detected in this HTTP/2 session, and it must be closed", "A stream was closed, but pending",
			},
			needs:   2,
			symbols: []string{"nghttp2_session_mem_recv", "nghttp2_session_client_new"},
			values:  []valueRule{{symbol: "nghttp2_version", read: "guard", number: bytesVersion}},
			lone:    `1\.\d{1,2}\.\d{1,2}(?:-DEV)?`,
		},
	}
}

// bytesVersion reads 0x010203 as 1.2.3.
func bytesVersion(n uint32) string { return fmt.Sprintf("%d.%d.%d", n>>16, n>>8&0xff, n&0xff) }

func runtimeRules() []rule {
	return []rule{
		{
			name:    "nodejs",
			sonames: []string{`libnode\.so\.\d+`},
			program: true,
			versions: []versionRule{
				{key: "node.js/v", pattern: `^node\.js/v(\d+\.\d+\.\d+)$`},
				{key: "//nodejs.org/download/release/v", before: 8, pattern: `//nodejs\.org/download/release/v(\d+\.\d+\.\d+)/node-v`},
				{key: "node v0.", pattern: `^node v(0\.\d+\.\d+)$`},
			},
			code:    []string{"Hello, and welcome to hacking node.js!", "../src/node.cc:", "../src/node_buffer.cc:", "../src/env.cc:", "../src/node_zlib.cc:"},
			needs:   1,
			symbols: []string{"_ZN4node5StartEiPPc"}, // node_module_register would also be met in programs that only load node's addons
		},
		{
			name:    "python",
			sonames: []string{`libpython[23]\.\d+[a-z]*\.so\.\d+(\.\d+)?`},
			program: true,
			code:    []string{"Python/ceval.c", "Python/import.c", "Python/getargs.c", "Objects/unicodeobject.c", "Python/pystrtod.c"},
			needs:   3,
			symbols: []string{"Py_BytesMain", "PyEval_EvalCodeEx", "_PyEval_EvalFrameDefault"},
			values:  []valueRule{{symbol: "Py_Version", read: "number", number: pythonVersion}},
			lone:    `[23]\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d+)?\+?`,
		},
		{
			name:     "ruby",
			sonames:  []string{`libruby.*\.so.*`},
			program:  true,
			versions: []versionRule{{key: " revision ", before: 40, pattern: `ruby (\d\.\d+\.\d+)(?:p\d+|[a-z]+\d*)? \(\d{4}-\d\d-\d\d revision `, proves: true}},
			symbols:  []string{"ruby_run_node", "ruby_process_options"},
		},
		{
			name:     "php",
			sonames:  []string{`libphp\d?(\.\d)?\.so`, `libphp.*\.so.*`},
			program:  true,
			versions: []versionRule{{key: "X-Powered-By: PHP/", pattern: `^X-Powered-By: PHP/(\d+\.\d+\.\d+)`, proves: true}},
			symbols:  []string{"php_request_startup", "php_module_startup"},
		},
		{
			name:    "openjdk",
			sonames: []string{`libjvm\.so`},
			program: true,
			versions: []versionRule{
				{key: " Server VM (", before: 16, pattern: `(?:OpenJDK|HotSpot\(TM\)) 64-Bit Server VM \([^)]{1,48}\) for linux-[a-z0-9_]+ JRE \(([0-9][0-9._]*)`, proves: true},
			},
			symbols: []string{"JNI_CreateJavaVM"},
		},
	}
}

// pythonVersion reads PY_VERSION_HEX: 0x030b02f0 is 3.11.2, the last byte's upper half tells alpha, beta and candidate.
func pythonVersion(n uint32) string {
	v := fmt.Sprintf("%d.%d.%d", n>>24, n>>16&0xff, n>>8&0xff)
	if stage := map[uint32]string{0xa: "a", 0xb: "b", 0xc: "rc"}[n>>4&0xf]; stage != "" {
		v += fmt.Sprintf("%s%d", stage, n&0xf)
	}
	return v
}

func serverRules() []rule {
	return []rule{
		{
			name:     "nginx",
			program:  true,
			versions: []versionRule{{key: "nginx version: nginx/", pattern: `^nginx version: nginx/(\d+\.\d+\.\d+)`, proves: true}},
			symbols:  []string{"ngx_http_core_module", "ngx_cycle"},
		},
		{
			name:    "haproxy",
			program: true,
			code:    []string{"HAProxy version %s", "HAProxy version follows", "HA-Proxy version %s"},
			needs:   1,
			symbols: []string{"haproxy_version", "haproxy_date"},
			values:  []valueRule{{symbol: "haproxy_version", read: "text", pattern: `^(\d+\.\d+[.\d]*(?:-dev\d+)?)`}},
		},
		{
			name:     "openssh",
			program:  true,
			versions: []versionRule{{key: "OpenSSH_", pattern: `^OpenSSH_(\d+\.\d+(?:\.\d+)?p\d+)(?: |$)`}},
			code: []string{
				"agent contains no identities", "message authentication code incorrect", "unexpected bytes remain after decoding", "insufficient buffer space",
				"invalid elliptic curve value", "string is too large",
			},
			needs: 3,
		},
	}
}
