package elf_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	scan "staunch/see/scan/elf"
	"staunch/testbed/real"
)

// parts are Debian's own libraries and programs: what they hold and in which version, dpkg knows apart from us.
func parts() []struct{ path, pkg, component, linkage string } {
	lib := func(name string) string { return "/usr/lib/*-linux-gnu/" + name }
	return []struct{ path, pkg, component, linkage string }{
		{lib("libcrypto.so.3"), "libssl3", "openssl", "dynamic"},
		{lib("libz.so.1"), "zlib1g", "zlib", "dynamic"},
		{lib("libcurl.so.4"), "libcurl4", "libcurl", "dynamic"},
		{lib("libcurl-gnutls.so.4"), "libcurl3-gnutls", "libcurl", "dynamic"},
		{lib("libgnutls.so.30"), "libgnutls30", "gnutls", "dynamic"},
		{lib("libnss3.so"), "libnss3", "nss", "dynamic"},
		{lib("libssl3.so"), "libnss3", "nss", "dynamic"},
		{lib("libmbedcrypto.so.7"), "libmbedcrypto7", "mbedtls", "dynamic"},
		{lib("libwebp.so.7"), "libwebp7", "libwebp", "dynamic"},
		{lib("liblzma.so.5"), "liblzma5", "liblzma", "dynamic"},
		{lib("libexpat.so.1"), "libexpat1", "expat", "dynamic"},
		{lib("libsqlite3.so.0"), "libsqlite3-0", "sqlite", "dynamic"},
		{lib("libssh.so.4"), "libssh-4", "libssh", "dynamic"},
		{lib("libnghttp2.so.14"), "libnghttp2-14", "nghttp2", "dynamic"},
		{lib("libc.so.6"), "libc6", "glibc", "dynamic"},
		{lib("ld-linux-*.so.*"), "libc6", "glibc", "dynamic"},
		{"/usr/lib/*-linux-musl/libc.so", "musl", "musl", "dynamic"},
		{lib("libruby-3.1.so.3.1"), "libruby3.1", "ruby", "dynamic"},
		{"/usr/bin/python3.11", "python3.11-minimal", "python", "dynamic"},
		{"/usr/bin/php8.2", "php8.2-cli", "php", "dynamic"},
		{"/usr/lib/jvm/java-17-openjdk-*/lib/server/libjvm.so", "openjdk-17-jre-headless", "openjdk", "dynamic"},
		{"/usr/sbin/nginx", "nginx", "nginx", "dynamic"},
		{"/usr/sbin/haproxy", "haproxy", "haproxy", "dynamic"},
		{"/usr/sbin/sshd", "openssh-server", "openssh", "dynamic"},
		{"/usr/bin/ssh", "openssh-client", "openssh", "dynamic"},
	}
}

func TestDebiansPartsAreWhatDpkgSaysTheyAre(t *testing.T) {
	real.Slow(t)
	for _, p := range parts() {
		t.Run(filepath.Base(p.path), func(t *testing.T) {
			found, err := filepath.Glob(p.path)
			if err != nil || len(found) == 0 {
				real.Missing(t, "%s is not installed", p.path)
			}
			version := upstream(t, p.pkg)
			got := holds(analyse(t, found[0]), p.component)
			if len(got) != 1 || !sameVersion(got[0], version+" "+p.linkage) {
				t.Errorf("%s: got %q, dpkg says %s", found[0], got, version)
			}
		})
	}
}

// sameVersion allows dpkg what packagers add: 9.2 for 9.2p1 is written 9.2p1 by both, but 17.0.15+6 and 3.87.1 carry more on one side.
func sameVersion(got, want string) bool {
	g, gl, _ := strings.Cut(got, " ")
	w, wl, _ := strings.Cut(want, " ")
	return gl == wl && g != "" && (g == w || strings.HasPrefix(w, g+"+") || strings.HasPrefix(w, g+"~") || strings.HasPrefix(w, g+"."))
}

// A library that carries no version of its own says so, and leaves it to the library that does.
func TestLibsslLeavesItsVersionToLibcrypto(t *testing.T) {
	real.Slow(t)
	found, err := filepath.Glob("/usr/lib/*-linux-gnu/libssl.so.3")
	if err != nil || len(found) == 0 {
		real.Missing(t, "libssl3 is not installed")
	}
	o := analyse(t, found[0])
	if got := holds(o, "openssl"); len(got) != 1 || got[0] != " dynamic" {
		t.Errorf("got %q", got)
	}
	if o.Soname != "libssl.so.3" || len(o.BuildID) != 40 {
		t.Errorf("soname %q, build id %q", o.Soname, o.BuildID)
	}
}

// Programs that were compiled with OpenSSL's headers name its version, but hold none of its code.
func TestHeadersAreNotCode(t *testing.T) {
	for _, name := range []string{"openssl", "nginx", "haproxy"} {
		for _, c := range analyse(t, real.Program(t, name)).Components {
			if c.Name == "openssl" && c.Linkage != scan.Headers {
				t.Errorf("%s: %s openssl %s: %v", name, c.Linkage, c.Version, c.Evidence)
			}
		}
	}
}

// Over everything that Debian installed here: a component's code is claimed only where dpkg's owner makes sense of it, and nothing
// that debug/elf can read is called malformed.
func TestNoSurprisesAmongDebiansFiles(t *testing.T) {
	real.Slow(t)
	owners := dpkgOwners(t)
	a, err := scan.New(nil, scan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for path, pkg := range owners {
		o, ok := analyseOwned(t, a, path)
		if !ok {
			continue
		}
		seen++
		for _, c := range o.Components {
			if c.Name == "glibc" && o.Interpreter == "" && len(o.Needed) == 0 {
				continue // a program without a loader holds its C library itself
			}
			if c.Kind == "" && c.Linkage != scan.Headers && !makesSense(c.Name, pkg) {
				t.Errorf("%s of package %s is said to hold %s %s (%s): %v", path, pkg, c.Name, c.Version, c.Linkage, c.Evidence)
			}
		}
		if strings.HasPrefix(o.Unknown, "malformed") || strings.HasPrefix(o.Unknown, "packed") || o.Unknown != "" && readable(path) && strings.HasPrefix(o.Unknown, "truncated") {
			t.Errorf("%s: %s", path, o.Unknown)
		}
	}
	if seen < 200 {
		real.Missing(t, "only %d ELF files of Debian's here", seen)
	}
	t.Logf("%d ELF files", seen)
}

// makesSense names the Debian packages that hold a component's code, their own or linked in. Bundles of other vendors hold anything.
func makesSense(component, pkg string) bool {
	for _, vendor := range []string{"google-", "temurin-", "chromium", "firefox", "nodejs", "docker", "microsoft", "code"} {
		if strings.HasPrefix(pkg, vendor) {
			return true
		}
	}
	packages := map[string]string{
		"openssl": `libssl.*|openssl`, "zlib": `zlib1g|chromium.*|rsync|openjdk-.*|temurin-.*|libbinutils|gdb.*|clang.*|libllvm.*|.*rust.*|cmake.*|varnish`, "libcurl": `libcurl.*`,
		"gnutls": `libgnutls.*`, "nss": `libnss3(-tools)?|firefox.*|thunderbird`, "mbedtls": `libmbed.*`, "libwebp": `libwebp.*|chromium.*|firefox.*`, "liblzma": `liblzma5`, "expat": `libexpat1|python3.*`,
		"sqlite": `libsqlite3-0|chromium.*|firefox.*`, "libssh": `libssh-.*`, "glibc": `libc6.*|locales|libc-bin|.*-static|busybox.*|qemu-user-static`, "musl": `musl.*`, "nghttp2": `libnghttp2-14`, "nodejs": `nodejs|libnode.*`,
		"python": `(lib)?python[23].*|gdb.*`, "ruby": `(lib)?ruby.*`, "php": `php.*|libapache2-mod-php.*`, "openjdk": `openjdk-.*|temurin-.*`, "nginx": `nginx.*`, "haproxy": `haproxy`,
		"openssh": `openssh-.*`, "boringssl": `chromium.*|google-.*|android-.*`, "aws-lc": ``, "libressl": ``,
	}
	ok, err := regexp.MatchString("^("+packages[component]+")$", pkg)
	return ok && err == nil
}

// dpkgOwners maps every program and library that dpkg installed to its package.
func dpkgOwners(t *testing.T) map[string]string {
	t.Helper()
	lists, err := filepath.Glob("/var/lib/dpkg/info/*.list")
	if err != nil || len(lists) == 0 {
		real.Missing(t, "no dpkg database")
	}
	out := map[string]string{}
	for _, list := range lists {
		content, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		pkg, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(list), ".list"), ":")
		for path := range strings.Lines(string(content)) {
			path = strings.TrimSpace(path)
			if strings.Contains(path, "bin/") || strings.Contains(path, ".so") || strings.Contains(path, "/libexec/") {
				out[path] = pkg
			}
		}
	}
	return out
}

// analyseOwned looks at one regular file of less than 64 MB that is native ELF code.
func analyseOwned(t *testing.T, a *scan.Analyser, path string) (scan.Object, bool) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 64<<20 {
		return scan.Object{}, false
	}
	f, err := os.Open(path)
	if err != nil {
		return scan.Object{}, false
	}
	defer f.Close()
	o, err := a.Analyse(t.Context(), f, info.Size())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return o, o.Machine != ""
}

func readable(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// A library that was built for another machine is named as such, and its texts are still read.
func TestAnotherMachineIsNamed(t *testing.T) {
	real.Slow(t)
	found, err := filepath.Glob("/usr/aarch64-linux-gnu/lib/libc.so.6")
	if err != nil || len(found) == 0 {
		real.Missing(t, "the aarch64 C library is not installed")
	}
	o := analyse(t, found[0])
	if got := holds(o, "glibc"); o.Machine != "aarch64" || o.Unknown != "" || len(got) != 1 || !strings.HasSuffix(got[0], " dynamic") {
		t.Errorf("%s %q %q", o.Machine, o.Unknown, got)
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "old")
	if msg, err := exec.Command("gcc", "-m32", "-nostdlib", "-static", "-x", "c", "-o", out, "-e", "main", "testdata/empty.c").CombinedOutput(); err != nil {
		real.Missing(t, "gcc -m32: %s", msg)
	}
	if o := analyse(t, out); o.Machine != "i386" || !strings.Contains(o.Unknown, "i386") || o.ID == "" {
		t.Errorf("%s %q id %q", o.Machine, o.Unknown, o.ID)
	}
}
