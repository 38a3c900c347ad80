package elf

import "fmt"

// runtimeRules are languages that run other people's programs.
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

// serverRules are programs that listen to strangers.
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
