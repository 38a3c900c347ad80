package scan_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/testbed/real"
)

// server is a program of Debian's, how it is started, and what is true about its process.
type server struct {
	name, file string   // the file whose package is asked about
	args       []string // "DIR" stands for a directory of its own, "PORT" for a free port
	config     string
	holds      []string // "component package": in the version that dpkg knows
}

func servers() []server {
	return []server{
		{"nginx", "/usr/sbin/nginx", []string{"-p", "DIR", "-e", "DIR/log", "-c", "DIR/conf"}, "daemon off; pid DIR/pid; events {} http { access_log off; server { listen unix:DIR/socket; } }", []string{"nginx nginx", "openssl libssl3", "zlib zlib1g", "glibc libc6"}},
		{"haproxy", "/usr/sbin/haproxy", []string{"-db", "-f", "DIR/conf"}, "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nfrontend f\n bind unix@DIR/socket\n", []string{"haproxy haproxy", "openssl libssl3"}},
		{"apache2", "/usr/sbin/apache2", []string{"-X", "-f", "DIR/conf"}, "ServerName localhost\nServerRoot DIR\nPidFile DIR/pid\nErrorLog DIR/log\nListen 127.0.0.1:PORT\nLoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\nLoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n", []string{"glibc libc6"}},
		{"/usr/bin/python3", "/usr/bin/python3.11", []string{"-c", "import ssl,sys; sys.stdin.read()"}, "", []string{"python python3.11-minimal", "openssl libssl3"}},
		{"ruby", "/usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1", []string{"-ropenssl", "-e", "STDIN.read"}, "", []string{"ruby libruby3.1", "openssl libssl3"}},
		{"redis-server", "/usr/bin/redis-server", []string{"--port", "0", "--unixsocket", "DIR/socket", "--dir", "DIR"}, "", []string{"openssl libssl3", "glibc libc6"}},
		{"sshd", "/usr/sbin/sshd", []string{"-D", "-f", "DIR/conf"}, "ListenAddress 127.0.0.1:PORT\nHostKey DIR/key\nPidFile DIR/pid\n", []string{"openssh openssh-server", "openssl libssl3"}},
	}
}

// run starts it, and ends it with the test.
func (s server) run(t *testing.T) int {
	t.Helper()
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	fill := strings.NewReplacer("DIR", dir, "PORT", port)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(fill.Replace(s.config)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.name == "sshd" {
		if out, err := exec.Command(real.Program(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "key")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			real.Missing(t, "sshd needs /run/sshd: %v", err)
		}
	}
	args := make([]string, len(s.args))
	for i, a := range s.args {
		args[i] = fill.Replace(a)
	}
	name := s.name // a path where another program of that name may come first
	if !filepath.IsAbs(name) {
		name = real.Program(t, name)
	}
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// Debian's servers while they run: which components they hold and in which version, and whose files those are, dpkg knows apart from us.
func TestDebiansServersAreWhatDpkgSaysTheyAre(t *testing.T) {
	real.Root(t)
	for _, s := range servers() {
		t.Run(filepath.Base(s.name), func(t *testing.T) {
			pid := s.run(t)
			var wrong []string
			for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
				if wrong = s.compare(t, pid); len(wrong) == 0 {
					return
				}
			}
			t.Error(strings.Join(wrong, "\n"))
		})
	}
}

// compare names what is not (yet) as it should be: libraries are loaded one after the other.
func (s server) compare(t *testing.T, pid int) (wrong []string) {
	t.Helper()
	r, err := scan.Look(t.Context(), scan.Question{PIDs: []int{pid}, NoDormant: true, NoCache: true}, scan.Env{Version: "test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Processes) != 1 || len(r.Unseen) != 0 {
		return []string{fmt.Sprintf("processes %+v, unseen %+v", r.Processes, r.Unseen)}
	}
	for _, want := range s.holds {
		component, pkg, _ := strings.Cut(want, " ")
		version := dpkgVersion(t, pkg)
		if !slices.ContainsFunc(r.Objects, func(o scan.Object) bool {
			return o.Package != nil && o.Package.Name == pkg && o.Package.Version == version && o.Package.Intact == "yes" &&
				slices.ContainsFunc(o.Components, func(c elf.Component) bool {
					return c.Name == component && c.Linkage == elf.Dynamic && c.Version != "" && strings.Contains(version, c.Version)
				})
		}) {
			wrong = append(wrong, fmt.Sprintf("no %s of package %s %s", component, pkg, version))
		}
	}
	path, err := filepath.EvalSymlinks(s.file)
	if err != nil {
		real.Missing(t, "%v", err)
	}
	owner := dpkgOwner(t, path)
	for _, m := range r.Processes[0].Objects {
		if m.Path == path {
			i := slices.IndexFunc(r.Objects, func(o scan.Object) bool { return o.ID == m.ID })
			if i < 0 || r.Objects[i].Package == nil || r.Objects[i].Package.Name != owner || m.State != scan.Same {
				wrong = append(wrong, fmt.Sprintf("%s is %s of %+v, dpkg says %s", path, m.State, r.Objects[max(i, 0)].Package, owner))
			}
			return wrong
		}
	}
	return append(wrong, path+" is not mapped")
}

func dpkgVersion(t *testing.T, pkg string) string {
	t.Helper()
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", pkg).Output()
	if err != nil {
		real.Missing(t, "package %s is not installed", pkg)
	}
	return string(out)
}

func dpkgOwner(t *testing.T, path string) string {
	t.Helper()
	for _, spelling := range []string{path, strings.TrimPrefix(path, "/usr")} {
		if out, err := exec.Command("dpkg-query", "-S", spelling).Output(); err == nil {
			name, _, _ := strings.Cut(string(out), ":")
			return name
		}
	}
	real.Missing(t, "no package owns %s", path)
	return ""
}
