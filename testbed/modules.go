package testbed

import (
	_ "embed" // the sources of the modules
	"os"
	"path/filepath"
	"testing"
)

//go:embed tally/ngx_http_tally_module.c
var nginxModuleSource string

//go:embed tally/lua_tally.c
var luaModuleSource string

// WithModules installs, beside libtally, a module for nginx and one for haproxy's Lua that are linked to it as any add-on is linked to a library:
// NEEDED libtally.so.1. Both tell in the header X-Tally which version of the library they really run. It asks for nginx-light and haproxy itself.
//
//	libnginx-mod-http-tally  loaded by the server at its next start, as Debian's own modules are
//	lua-tally                loaded by haproxy where its configuration says: lua-load /etc/haproxy/tally.lua
func WithModules() Option {
	return func(b *bed) {
		b.modules = true
		b.packages = append(b.packages, "nginx-light", "haproxy")
	}
}

const (
	moduleConfig = `ngx_addon_name=ngx_http_tally_module
ngx_module_type=HTTP_AUX_FILTER
ngx_module_name=ngx_http_tally_module
ngx_module_srcs="$ngx_addon_dir/ngx_http_tally_module.c"
ngx_module_libs=-l:libtally.so.1
. auto/module
`
	luaScript = `local tally = require("tally")
core.register_fetches("tally_version", function() return tally.version() end)
`
	// The modules are built in a copy of the hosts' own image, so that they fit the very nginx and Lua that will load them.
	buildModules = `set -eu
cd /build
cp -r /usr/share/nginx/src src
cd src
bash -c '. ./conf_flags && ./configure "${NGX_CONF_FLAGS[@]}" --add-dynamic-module=/build'
make -f objs/Makefile modules
cp objs/ngx_http_tally_module.so ..
cd ..
gcc -O1 -g0 -shared -fPIC -I/usr/include/lua5.3 -o tally.so lua_tally.c -l:libtally.so.1
`
)

// moduleDebs builds both packages once, and returns the directory that holds them.
func (b *bed) moduleDebs(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(b.cache, "modules-"+digest(append([]string{nginxModuleSource, luaModuleSource, moduleConfig, luaScript, buildModules, "1"}, b.lower...)...))
	once(t, dir, func(part string) {
		must(t, os.MkdirAll(part, 0o755))
		built := t.TempDir()
		b.scratch(t, part, func(root string) {
			installDebian(t, root, []string{"gcc", "libc6-dev", "make", "nginx-dev", "liblua5.3-dev"})
			build := filepath.Join(root, "build")
			must(t, os.MkdirAll(build, 0o755))
			for name, text := range map[string]string{
				"tally.h": tallyHeader, "lua_tally.c": luaModuleSource, "ngx_http_tally_module.c": nginxModuleSource, "config": moduleConfig,
			} {
				must(t, os.WriteFile(filepath.Join(build, name), []byte(text), 0o644))
			}
			chroot(t, root, buildModules)
			for _, name := range []string{"ngx_http_tally_module.so", "tally.so"} {
				must(t, copyFile(filepath.Join(build, name), filepath.Join(built, name)))
			}
		})
		must(t, os.WriteFile(filepath.Join(built, "mod-tally.conf"), []byte("load_module modules/ngx_http_tally_module.so;\n"), 0o644))
		must(t, os.WriteFile(filepath.Join(built, "tally.lua"), []byte(luaScript), 0o644))
		pack(t, part, built, deb{"libnginx-mod-http-tally", Old, "libtally1", map[string]string{
			"ngx_http_tally_module.so": "/usr/lib/nginx/modules/ngx_http_tally_module.so",
			"mod-tally.conf":           "/etc/nginx/modules-enabled/50-mod-http-tally.conf",
		}, ""})
		pack(t, part, built, deb{"lua-tally", Old, "libtally1", map[string]string{
			"tally.so":  "/usr/lib/x86_64-linux-gnu/lua/5.3/tally.so",
			"tally.lua": "/etc/haproxy/tally.lua",
		}, ""})
	})
	return dir
}

// scratch is the image so far, to be changed at will and thrown away.
func (b *bed) scratch(t testing.TB, part string, use func(root string)) {
	t.Helper()
	upper, work, root := part+".upper", part+".work", part+".root"
	for _, d := range []string{upper, work, root} {
		must(t, os.RemoveAll(d))
		must(t, os.MkdirAll(d, 0o755))
	}
	defer func() {
		unmount(root)
		for _, d := range []string{upper, work, root} {
			must(t, os.RemoveAll(d))
		}
	}()
	mount(t, b.lower, upper, work, root)
	use(root)
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}

func installDebs(t testing.TB, root, dir string, names ...string) {
	t.Helper()
	files := ""
	for _, name := range names {
		must(t, copyFile(filepath.Join(dir, name+"_"+Old+"_amd64.deb"), filepath.Join(root, name+".deb")))
		files += " " + name + ".deb"
	}
	chroot(t, root, "set -eu\ndpkg --force-unsafe-io -i"+files+"\nrm -f /*.deb")
}
