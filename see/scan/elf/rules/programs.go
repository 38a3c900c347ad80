package rules

import "fmt"

// runtimeRules are languages that run other people's programs.
func runtimeRules() []Rule {
	return []Rule{
		{
			Name:    "nodejs",
			Sonames: []string{`libnode\.so\.\d+`},
			Program: true,
			Versions: []Version{
				{Key: "node.js/v", Pattern: `^node\.js/v(\d+\.\d+\.\d+)$`},
				{Key: "//nodejs.org/download/release/v", Before: 8, Pattern: `//nodejs\.org/download/release/v(\d+\.\d+\.\d+)/node-v`},
				{Key: "node v0.", Pattern: `^node v(0\.\d+\.\d+)$`},
			},
			Code:    []string{"Hello, and welcome to hacking node.js!", "../src/node.cc:", "../src/node_buffer.cc:", "../src/env.cc:", "../src/node_zlib.cc:"},
			Needs:   1,
			Symbols: []string{"_ZN4node5StartEiPPc"}, // node_module_register would also be met in programs that only load node's addons
		},
		{
			Name:    "python",
			Sonames: []string{`libpython[23]\.\d+[a-z]*\.so\.\d+(\.\d+)?`},
			Program: true,
			Code:    []string{"Python/ceval.c", "Python/import.c", "Python/getargs.c", "Objects/unicodeobject.c", "Python/pystrtod.c"},
			Needs:   3,
			Symbols: []string{"Py_BytesMain", "PyEval_EvalCodeEx", "_PyEval_EvalFrameDefault"},
			Values:  []Value{{Symbol: "Py_Version", Read: "number", Number: pythonVersion}},
			Lone:    `[23]\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d+)?\+?`,
		},
		{
			Name:     "ruby",
			Sonames:  []string{`libruby.*\.so.*`},
			Program:  true,
			Versions: []Version{{Key: " revision ", Before: 40, Pattern: `ruby (\d\.\d+\.\d+)(?:p\d+|[a-z]+\d*)? \(\d{4}-\d\d-\d\d revision `, Proves: true}},
			Symbols:  []string{"ruby_run_node", "ruby_process_options"},
		},
		{
			Name:     "php",
			Sonames:  []string{`libphp\d?(\.\d)?\.so`, `libphp.*\.so.*`},
			Program:  true,
			Versions: []Version{{Key: "X-Powered-By: PHP/", Pattern: `^X-Powered-By: PHP/(\d+\.\d+\.\d+)`, Proves: true}},
			Symbols:  []string{"php_request_startup", "php_module_startup"},
		},
		{
			Name:    "openjdk",
			Sonames: []string{`libjvm\.so`},
			Program: true,
			Versions: []Version{
				{Key: " Server VM (", Before: 16, Pattern: `(?:OpenJDK|HotSpot\(TM\)) 64-Bit Server VM \([^)]{1,48}\) for linux-[a-z0-9_]+ JRE \(([0-9][0-9._]*)`, Proves: true},
			},
			Symbols: []string{"JNI_CreateJavaVM"},
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
func serverRules() []Rule {
	return []Rule{
		{
			Name:     "nginx",
			Program:  true,
			Versions: []Version{{Key: "nginx version: nginx/", Pattern: `^nginx version: nginx/(\d+\.\d+\.\d+)`, Proves: true}},
			Symbols:  []string{"ngx_http_core_module", "ngx_cycle"},
		},
		{
			Name:    "haproxy",
			Program: true,
			Code:    []string{"HAProxy version %s", "HAProxy version follows", "HA-Proxy version %s"},
			Needs:   1,
			Symbols: []string{"haproxy_version", "haproxy_date"},
			Values:  []Value{{Symbol: "haproxy_version", Read: "text", Pattern: `^(\d+\.\d+[.\d]*(?:-dev\d+)?)`}},
		},
		{
			Name:     "openssh",
			Program:  true,
			Versions: []Version{{Key: "OpenSSH_", Pattern: `^OpenSSH_(\d+\.\d+(?:\.\d+)?p\d+)(?: |$)`}},
			Code: []string{
				"agent contains no identities", "message authentication code incorrect", "unexpected bytes remain after decoding", "insufficient buffer space",
				"invalid elliptic curve value", "string is too large",
			},
			Needs: 3,
		},
	}
}
