package elf_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"staunch/testbed/real"
)

// linked is a small program of our own with one library's archive linked in.
type linked struct {
	component, pkg string // Debian's source of the truth about the version
	archives       string
	body           string
	unnamed        bool // stripped of names its version cannot be known, and is then not guessed
	silent         bool // the version is not surely in what the linker takes from the archive, so none is claimed
}

func linkedPrograms() []linked {
	return []linked{
		{component: "openssl", pkg: "libssl-dev", archives: "-lssl -lcrypto", body: "void*TLS_method(void);void*SSL_CTX_new(void*);void*SSL_new(void*);int SSL_connect(void*);int main(){return SSL_connect(SSL_new(SSL_CTX_new(TLS_method())));}"},
		{component: "zlib", pkg: "zlib1g-dev", archives: "-lz", body: "int inflateInit_(void*,void*,int);int inflate(void*,int);int main(int c,char**v){return inflateInit_(v,v[0],c)+inflate(v,0);}"},
		{component: "libcurl", pkg: "libcurl4-openssl-dev", archives: "-lcurl -lssl -lcrypto -lz -lnghttp2", body: "void*curl_easy_init(void);int curl_easy_perform(void*);int main(){return curl_easy_perform(curl_easy_init());}"},
		{component: "libwebp", pkg: "libwebp-dev", archives: "-lwebp", unnamed: true, body: "int WebPGetDecoderVersion(void);void*WebPDecodeRGBA(void*,long,void*,void*);int main(int c,char**v){return WebPGetDecoderVersion()+!WebPDecodeRGBA(v,c,v,v);}"},
		{component: "liblzma", pkg: "liblzma-dev", archives: "-llzma", body: "int lzma_stream_decoder(void*,long,int);int lzma_code(void*,int);char*lzma_version_string(void);int main(int c,char**v){return lzma_stream_decoder(v,1,c)+lzma_code(v,c)+*lzma_version_string();}"},
		{component: "sqlite", pkg: "libsqlite3-dev", archives: "-lsqlite3", body: "int sqlite3_open(char*,void*);int sqlite3_exec(void*,char*,void*,void*,void*);int main(int c,char**v){return sqlite3_open(v[0],v)+sqlite3_exec(v,v[0],0,0,0);}"},
		{component: "expat", pkg: "libexpat1-dev", archives: "-lexpat", body: "void*XML_ParserCreate(void*);int XML_Parse(void*,char*,int,int);char*XML_ExpatVersion(void);int main(int c,char**v){return XML_Parse(XML_ParserCreate(0),v[0],c,1)+*XML_ExpatVersion();}"},
		{component: "nghttp2", pkg: "libnghttp2-dev", archives: "-lnghttp2", silent: true, body: "int nghttp2_session_client_new(void*,void*,void*);void*nghttp2_version(int);char*nghttp2_strerror(int);int main(int c,char**v){return nghttp2_session_client_new(v,v,v)+!nghttp2_version(c)+*nghttp2_strerror(c);}"},
		{component: "mbedtls", pkg: "libmbedtls-dev", archives: "-lmbedtls -lmbedx509 -lmbedcrypto", silent: true, body: "int mbedtls_ssl_handshake(void*);int main(int c,char**v){return mbedtls_ssl_handshake(v);}"},
		{component: "libssh", pkg: "libssh-dev", archives: "-lssh -lcrypto -lz", body: "void*ssh_new(void);int ssh_connect(void*);int main(){return ssh_connect(ssh_new());}"},
	}
}

func TestLinkedInLibrariesAreFoundWithTheirVersions(t *testing.T) {
	gcc, strip := real.Program(t, "gcc"), real.Program(t, "strip")
	for _, l := range linkedPrograms() {
		t.Run(l.component, func(t *testing.T) {
			want := upstream(t, l.pkg)
			if l.silent {
				want = ""
			}
			out := l.link(t, gcc)
			if got := holds(analyse(t, out), l.component); len(got) != 1 || got[0] != want+" static" {
				t.Errorf("with names: got %q, want %q", got, want)
			}
			before := analyse(t, out).ID
			run(t, strip, "-s", out)
			if l.unnamed {
				want = ""
			}
			after := analyse(t, out)
			if got := holds(after, l.component); len(got) != 1 || got[0] != want+" static" {
				t.Errorf("stripped: got %q, want %q", got, want)
			}
			if after.ID != before {
				t.Error("stripping changed the object's id")
			}
		})
	}
}

// link builds the program; what the archive itself needs and Debian has no archive for stays unresolved, since nothing is run.
func (l linked) link(t *testing.T, gcc string) string {
	t.Helper()
	dir := t.TempDir()
	source, out := filepath.Join(dir, "main.c"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(l.body), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-O2", "-w", "-o", out, source, "-Wl,-Bstatic"}
	args = append(args, strings.Fields(l.archives)...)
	run(t, gcc, append(args, "-Wl,-Bdynamic", "-lm", "-Wl,--unresolved-symbols=ignore-all")...)
	return out
}

// upstream is the upstream part of an installed Debian package's version.
func upstream(t testing.TB, pkg string) string {
	t.Helper()
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", pkg).Output()
	if err != nil {
		real.Missing(t, "package %s is not installed", pkg)
	}
	v := string(out)
	if _, after, ok := strings.Cut(v, ":"); ok {
		v = after
	}
	if _, after, ok := strings.Cut(v, "+really"); ok {
		v = after // a step back, as Debian writes it: 3.1.7+really3.1.2 is 3.1.2
	}
	v, _, _ = strings.Cut(v, "-")
	v, _, _ = strings.Cut(v, "+")
	return strings.TrimSuffix(v, ".dfsg")
}

func TestAStaticProgramOnMuslIsToldFromOneOnGlibc(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.c")
	if err := os.WriteFile(source, []byte("#include <stdio.h>\nint main(int c,char**v){return printf(\"%f %s\",(double)c,v[0]);}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for compiler, want := range map[string]string{"musl-gcc": "musl", "gcc": "glibc"} {
		out := filepath.Join(dir, compiler)
		run(t, real.Program(t, compiler), "-static", "-s", "-o", out, source)
		o := analyse(t, out)
		if got := holds(o, want); len(got) != 1 || got[0] != " static" {
			t.Errorf("%s: %s is %q, want a static copy of unknown version", compiler, want, got)
		}
		for _, other := range []string{"musl", "glibc"} {
			if got := holds(o, other); other != want && len(got) != 0 {
				t.Errorf("%s: also claims %s %q", compiler, other, got)
			}
		}
	}
}
