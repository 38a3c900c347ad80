package testbed_test

import (
	"strings"
	"testing"

	"staunch/testbed"
)

// nginx and haproxy are Debian's own; the library comes in as it does in life: something that they load is linked to it.
func TestModulesAreLinkedToTheLibrary(t *testing.T) {
	h := testbed.Up(t, 1, testbed.WithModules())[0]
	h.Write(t, "/etc/haproxy/haproxy.cfg", "global\n  lua-load /etc/haproxy/tally.lua\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 9s\n  timeout server 9s\n"+
		"frontend f\n  bind :8080\n  http-request return status 200 content-type text/plain string shop hdr X-Tally-Front %[lua.tally_version]\n", 0o644)
	h.Exec(t, "systemctl restart haproxy nginx")
	for port, want := range map[string]string{"80": "X-Tally: libtally " + testbed.Old, "8080": "x-tally-front: libtally " + testbed.Old} {
		h.Write(t, "/root/ask", "exec 3<>/dev/tcp/127.0.0.1/"+port+"; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3", 0o600)
		if got := h.Exec(t, "bash /root/ask"); !strings.Contains(got, want) {
			t.Errorf("port %s answers without %q:\n%s", port, want, got)
		}
	}
	for _, module := range []string{"/usr/lib/nginx/modules/ngx_http_tally_module.so", "/usr/lib/x86_64-linux-gnu/lua/5.3/tally.so"} {
		if got := h.Exec(t, "LD_TRACE_LOADED_OBJECTS=1 /lib64/ld-linux-x86-64.so.2 "+module); !strings.Contains(got, "libtally.so.1 => /") {
			t.Errorf("%s is not linked to the library:\n%s", module, got)
		}
	}
}
