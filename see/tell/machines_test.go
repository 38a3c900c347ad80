package tell

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/verdict"
	"staunch/testbed/real"

	"github.com/rogpeppe/go-internal/txtar"
)

// place is a machine that was written down: a root directory with real programs of ours in it that run there.
type place struct {
	t     *testing.T
	root  string
	files map[string]string // what the archive says beside the tree: build, run, after, advisories, want, and spec for rpm
	pids  []int
}

// Machines written as txtar trees, each judged whole: the package database of its distribution, libraries that processes have mapped while they
// run in that root, advisories of its ecosystem, and the table that a person then reads. "build" makes the programs: PATH library|server|whole
// VERSION. "run" starts them. "after" is done to the tree when they run.
func TestMachinesAreJudgedWhole(t *testing.T) {
	real.Root(t)
	found, err := filepath.Glob("testdata/machines/*.txtar")
	if err != nil || len(found) == 0 {
		t.Fatalf("%v: no machines", err)
	}
	for _, file := range found {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p := &place{t: t, root: t.TempDir(), files: map[string]string{}}
			if err := os.Chmod(p.root, 0o755); err != nil {
				t.Fatal(err)
			}
			p.unpack(archive)
			p.start()
			p.after()
			got := p.judge()
			if *update {
				for i, f := range archive.Files {
					if f.Name == "want" {
						archive.Files[i].Data = []byte(got)
					}
				}
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != p.files["want"] {
				t.Errorf("it reads\n%s\nwanted was\n%s", got, p.files["want"])
			}
		})
	}
}

func (p *place) unpack(archive *txtar.Archive) {
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "/") {
			p.files[f.Name] = string(f.Data)
		}
	}
	for line := range strings.Lines(p.files["build"]) {
		p.build(strings.Fields(line))
	}
	p.loader()
	for _, f := range archive.Files {
		if strings.HasPrefix(f.Name, "/") {
			p.write(f.Name, p.sums(string(f.Data)))
		}
	}
	if spec := p.files["spec"]; spec != "" {
		p.install(spec)
	}
}

func (p *place) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) read(name string) []byte {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.root, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *place) run(name string, args ...string) {
	p.t.Helper()
	if out, err := exec.Command(real.Program(p.t, name), args...).CombinedOutput(); err != nil {
		p.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// build compiles one program or library of ours into the tree; a server is linked with the library that was built before it.
func (p *place) build(words []string) {
	p.t.Helper()
	if len(words) != 3 {
		return
	}
	out := filepath.Join(p.root, words[0])
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		p.t.Fatal(err)
	}
	version := `-DVERSION="` + words[2] + `"`
	switch words[1] {
	case "library":
		p.run("gcc", "-O1", "-nostdlib", "-fPIC", "-shared", "-Wl,-soname,"+filepath.Base(out), version, "-o", out, "testdata/machines/lib.c")
	case "server":
		p.run("gcc", "-O1", "-nostdlib", "-fno-stack-protector", "-o", out, "testdata/machines/server.c", filepath.Join(p.root, words[2]))
	case "whole":
		p.run("gcc", "-O1", "-nostdlib", "-fno-stack-protector", "-static", "-DWHOLE", version, "-o", out, "testdata/machines/server.c")
	}
}

// loader puts this machine's dynamic loader into the tree, where programs ask for it.
func (p *place) loader() {
	for _, name := range []string{"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"} {
		if b, err := os.ReadFile(name); err == nil {
			p.write(name, string(b))
		}
	}
}

// sums fills in what package databases record of the files that were built: {{md5 PATH}}, {{sha1 PATH}} as apk writes it.
func (p *place) sums(text string) string {
	return regexp.MustCompile(`\{\{(md5|sha1) (\S+)\}\}`).ReplaceAllStringFunc(text, func(m string) string {
		words := strings.Fields(strings.Trim(m, "{}"))
		if words[0] == "md5" {
			sum := md5.Sum(p.read(words[1]))
			return hex.EncodeToString(sum[:])
		}
		sum := sha1.Sum(p.read(words[1]))
		return "Q1" + base64.StdEncoding.EncodeToString(sum[:])
	})
}

// install makes a real rpm of what was built, and lets rpm itself write the database of the tree, in the format that the spec's first line names.
func (p *place) install(spec string) {
	p.t.Helper()
	work := p.t.TempDir()
	backend := strings.TrimPrefix(strings.SplitN(spec, "\n", 2)[0], "# ")
	file := filepath.Join(work, "x.spec")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(spec, "ROOT", p.root)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.run("rpmbuild", "-bb", "--quiet", "--define", "_topdir "+work, "--define", "__os_install_post %{nil}", "--define", "_build_id_links none", "--define", "debug_package %{nil}", file)
	made, err := filepath.Glob(filepath.Join(work, "RPMS", "*", "*.rpm"))
	if err != nil || len(made) == 0 {
		p.t.Fatalf("rpmbuild made nothing: %v", err)
	}
	p.run("rpm", append([]string{"--root", p.root, "--define", "_dbpath /var/lib/rpm", "--define", "_db_backend " + backend, "-i", "--nodeps", "--noscripts", "--replacefiles", "--nosignature"}, made...)...)
}

func (p *place) start() {
	p.t.Helper()
	for name := range strings.Lines(p.files["run"]) {
		cmd := exec.Command(strings.TrimSpace(name))
		cmd.Dir, cmd.Env = "/", []string{"LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/usr/lib64:/lib"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: p.root, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		p.pids = append(p.pids, cmd.Process.Pid)
		p.settled(cmd.Process.Pid)
	}
}

// settled waits until the process waits: its libraries are mapped then.
func (p *place) settled(pid int) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/wchan")
		if stat, again := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/syscall"); err == nil && again == nil && (strings.Contains(string(b), "pause") || strings.HasPrefix(string(stat), "34 ") || strings.HasPrefix(string(stat), "73 ")) {
			return
		}
	}
	p.t.Fatalf("process %d did not come up", pid)
}

// after replaces what an upgrade would replace: a new file under the old name, and what the database then says.
func (p *place) after() {
	p.t.Helper()
	for line := range strings.Lines(p.files["after"]) {
		words := strings.Fields(line)
		if len(words) == 3 && words[1] == "library" {
			if err := os.Remove(filepath.Join(p.root, words[0])); err != nil {
				p.t.Fatal(err)
			}
			p.build(words)
		}
	}
	for name, content := range p.files {
		if inner, ok := strings.CutPrefix(name, "after:"); ok {
			p.write(inner, p.sums(content))
		}
	}
}

// judge looks at the processes alone and prints the table, with what differs from run to run taken out.
func (p *place) judge() string {
	p.t.Helper()
	var set advisory.Set
	if err := json.Unmarshal([]byte(p.files["advisories"]), &set); err != nil {
		p.t.Fatal(err)
	}
	r, err := scan.Look(p.t.Context(), scan.Question{PIDs: p.pids, NoDormant: true, NoCache: true}, scan.Env{Version: "test"}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := range r.Processes { // as the process itself sees it: the tree lies somewhere else in each run
		for k := range r.Processes[i].Objects {
			r.Processes[i].Objects[k].Path = strings.TrimPrefix(r.Processes[i].Objects[k].Path, p.root)
		}
	}
	id := set.Advisories[0].ID
	doc := verdict.Judge(r, advisory.NewCatalogue(set), verdict.Options{Advisory: id})
	var b bytes.Buffer
	if err := (Table{Width: 120, Advisory: id}).Print(&b, &doc); err != nil {
		p.t.Fatal(err)
	}
	return regexp.MustCompile(`\(pid \d+\)|\(\d+\)`).ReplaceAllString(b.String(), "(N)")
}
