package scan_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/testbed/real"
)

// holdClass is our own class file, written by hand: main reads one byte of standard input and returns.
func holdClass() []byte {
	var b bytes.Buffer
	u2 := func(n int) { b.Write([]byte{byte(n >> 8), byte(n)}) }
	text := func(s string) { b.WriteByte(1); u2(len(s)); b.WriteString(s) }
	class := func(n int) { b.WriteByte(7); u2(n) }
	pair := func(tag, x, y int) { b.WriteByte(byte(tag)); u2(x); u2(y) }
	b.Write([]byte{0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 49})
	u2(20)
	class(2)
	text("Hold")
	class(4)
	text("java/lang/Object")
	text("main")
	text("([Ljava/lang/String;)V")
	text("Code")
	pair(9, 9, 11)
	class(10)
	text("java/lang/System")
	pair(12, 12, 13)
	text("in")
	text("Ljava/io/InputStream;")
	pair(10, 15, 17)
	class(16)
	text("java/io/InputStream")
	pair(12, 18, 19)
	text("read")
	text("()I")
	for _, n := range []int{0x21, 1, 3, 0, 0, 1, 9, 5, 6, 1, 7} {
		u2(n)
	}
	b.Write([]byte{0, 0, 0, 20, 0, 1, 0, 1, 0, 0, 0, 8, 0xb2, 0, 8, 0xb6, 0, 14, 0x57, 0xb1, 0, 0, 0, 0, 0, 0})
	return b.Bytes()
}

func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// held starts a program that lives until its standard input is closed.
func held(t *testing.T, name string, args ...string) int {
	t.Helper()
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

// modulesOf looks at one process until it shows modules.
func modulesOf(t *testing.T, pid int, anchors ...elf.Anchor) []scan.Module {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		r, err := scan.Look(t.Context(), scan.Question{PIDs: []int{pid}, NoDormant: true, NoCache: true, Anchors: anchors}, scan.Env{Version: "test"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Processes) == 1 && len(r.Processes[0].Modules) > 0 {
			return r.Processes[0].Modules
		}
		if time.Now().After(deadline) {
			t.Fatalf("no modules in %+v, unseen %+v", r.Processes, r.Unseen)
		}
	}
}

func TestLog4jInsideARunningVirtualMachine(t *testing.T) {
	java := real.Program(t, "java")
	const core, lookup = "org.apache.logging.log4j:log4j-core", "org/apache/logging/log4j/core/lookup/JndiLookup.class"
	inner := zipped(t, map[string]string{
		lookup: "x", "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties": "groupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n",
	})
	jar := filepath.Join(t.TempDir(), "shop.jar")
	content := zipped(t, map[string]string{"Hold.class": string(holdClass()), "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nMain-Class: Hold\n", "BOOT-INF/lib/renamed.jar": inner})
	if err := os.WriteFile(jar, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	pid := held(t, java, "-Xmx32m", "-jar", jar)
	anchor := elf.Anchor{ID: "jndi", Component: core, Strings: []string{lookup}, Decisive: []string{"strings"}}
	for _, m := range modulesOf(t, pid, anchor) {
		if m.Component.Name == core {
			if m.Component.Version != "2.14.1" || m.Component.Linkage != elf.Bundled || m.Path != jar+"!/BOOT-INF/lib/renamed.jar" || len(m.Answers) != 1 || m.Answers[0].Says != elf.Yes {
				t.Errorf("%+v", m)
			}
			return
		}
	}
	t.Error("log4j-core was not found")
}

// A service names its jars in many ways, and opens only those that it has needed so far.
func TestEveryWayToNameAJar(t *testing.T) {
	java := real.Program(t, "java")
	dir := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	library := func(name string) string {
		return zipped(t, map[string]string{"META-INF/maven/org.example/" + name + "/pom.properties": "groupId=org.example\nartifactId=" + name + "\nversion=1.0\n"})
	}
	main := map[string]string{"Hold.class": string(holdClass())}
	put("main.jar", zipped(t, main))
	main["META-INF/MANIFEST.MF"] = "Manifest-Version: 1.0\nMain-Class: Hold\nClass-Path: lib/first.jar\n"
	put("app.jar", zipped(t, main))
	put("lib/first.jar", zipped(t, map[string]string{"META-INF/MANIFEST.MF": "Class-Path: second.jar\n"}))
	put("lib/second.jar", library("second"))
	put("all/star.jar", library("star"))
	put("plain.zip", library("zipped"))
	put("args", "# of the service\n-cp \"main.jar:all/*\"\n")
	for _, c := range []struct {
		name, want string
		env        []string
		args       []string
	}{
		{"a manifest's class path", "org.example:second", nil, []string{"-jar", "app.jar"}},
		{"an argument file", "org.example:star", nil, []string{"@args", "Hold"}},
		{"CLASSPATH", "org.example:zipped", []string{"CLASSPATH=main.jar:plain.zip:nowhere.jar:all"}, []string{"Hold"}},
		{"JDK_JAVA_OPTIONS", "org.example:star", []string{"JDK_JAVA_OPTIONS=-cp main.jar:'all/*'"}, []string{"Hold"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(java, append([]string{"-Xmx32m", "-Xshare:auto"}, c.args...)...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), c.env...)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
			for _, m := range modulesOf(t, cmd.Process.Pid) {
				if m.Component.Name == c.want && m.Component.Version == "1.0" {
					return
				}
			}
			t.Errorf("%s was not found", c.want)
		})
	}
}

func TestAMappedExtensionNamesItsWheel(t *testing.T) {
	python := real.Program(t, "python3")
	libs, err := filepath.Glob("/usr/lib/x86_64-linux-gnu/libz.so.1")
	if err != nil || len(libs) == 0 {
		real.Missing(t, "no libz.so.1")
	}
	content, err := os.ReadFile(libs[0])
	if err != nil {
		t.Fatal(err)
	}
	site := filepath.Join(t.TempDir(), "site-packages")
	for name, text := range map[string]string{
		"fast/_x.so": string(content), "fast-3.1.dist-info/METADATA": "Name: Fast\nVersion: 3.1\n\n", "fast-3.1.dist-info/RECORD": "fast/_x.so,,\n",
	} {
		path := filepath.Join(site, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pid := held(t, python, "-c", "import ctypes,sys; ctypes.CDLL(sys.argv[1]); sys.stdin.read()", filepath.Join(site, "fast/_x.so"))
	got := modulesOf(t, pid)
	if len(got) != 1 || got[0].Component.Name != "fast" || got[0].Component.Version != "3.1" || !strings.HasSuffix(got[0].Path, "fast/_x.so") {
		t.Errorf("%+v", got)
	}
}
