package settings

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"staunch/fault"
	"staunch/testbed/real"
)

// counted is the machine's ssh behind a script that counts its runs. Its own directory stands for the user's ~/.ssh.
func counted(t *testing.T) (r func() *Reader, runs func() int, config string) {
	t.Helper()
	program, err := exec.LookPath("ssh")
	if err != nil {
		real.Missing(t, "ssh is not installed")
	}
	dir := t.TempDir()
	count, script := filepath.Join(dir, "count"), filepath.Join(dir, "ssh")
	write(t, script, "#!/bin/sh\necho run >>"+count+"\nexec "+program+" \"$@\"\n", 0o700)
	config = filepath.Join(dir, "config")
	memory := filepath.Join(dir, "memory")
	return func() *Reader {
			return &Reader{Program: script, File: config, Home: dir, User: "me", Memory: memory}
		}, func() int {
			text, err := os.ReadFile(count)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			return strings.Count(string(text), "run")
		}, config
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func of(t *testing.T, r *Reader, name string) Settings {
	t.Helper()
	s, err := r.Of(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	return s
}

func TestSSHIsAskedOnceForEachStateOfItsFiles(t *testing.T) {
	reader, runs, config := counted(t)
	dir := filepath.Dir(config)
	if err := os.Mkdir(filepath.Join(dir, "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, config, "Include "+dir+"/more/*.conf\nHost web1\n  Port 2222\nMatch user nobody-at-all host web*\n  Port 9\n", 0o600)
	first := of(t, reader(), "web1")
	for range 3 {
		if again := of(t, reader(), "web1"); !reflect.DeepEqual(first, again) {
			t.Errorf("remembered %v, said %v", again, first)
		}
	}
	if first["port"][0] != "2222" || runs() != 1 {
		t.Errorf("port %v after %d runs", first["port"], runs())
	}
	of(t, reader(), "web2")
	of(t, reader(), "web2")
	if runs() != 2 {
		t.Errorf("%d runs for two hosts", runs())
	}
	for i, change := range []struct {
		name, file, text, port string
	}{
		{"the file", config, "Include " + dir + "/more/*.conf\nHost web1\n  Port 2223\n", "2223"},
		{"a file that an Include now finds", dir + "/more/a.conf", "Host web1\n  Port 2224\n", "2224"},
		{"a file that is included", dir + "/more/a.conf", "Host web1\n  Port 2225\n", "2225"},
	} {
		write(t, change.file, change.text, 0o600)
		for range 2 {
			if got := of(t, reader(), "web1"); got["port"][0] != change.port {
				t.Errorf("%s: port %v", change.name, got["port"])
			}
		}
		if runs() != 3+i {
			t.Errorf("%s: %d runs", change.name, runs())
		}
	}
	if other := reader(); other.Sum() == "" {
		t.Error("files alone have no sum")
	} else if other.User = "somebody else"; (&Reader{Program: other.Program, File: other.File, Home: other.Home, User: "somebody else"}).Sum() == reader().Sum() {
		t.Error("who asks makes no difference")
	}
}

// What commands, names, networks or the environment decide is asked each time.
func TestWhatDependsOnMoreThanFilesIsNotRemembered(t *testing.T) {
	for name, line := range map[string]string{
		"a command":            "Match host web* exec \"true\"\n  Port 9",
		"a second pass":        "Match final host web1\n  Port 9",
		"the environment":      "IdentityFile ${HOME}/.ssh/work",
		"the name service":     "CanonicalizeHostname yes",
		"the name service too": "canonicalizehostname=always",
		"quotes in an Include": "Include \"/nowhere/a b\"",
		"a broken pattern":     "Include /nowhere/[",
	} {
		reader, runs, config := counted(t)
		write(t, config, line+"\nHost web1\n  Port 2222\n", 0o600)
		of(t, reader(), "web1")
		of(t, reader(), "web1")
		if runs() != 2 || reader().Sum() != "" {
			t.Errorf("%s: %d runs, sum %q", name, runs(), reader().Sum())
		}
	}
}

// The files that we think ssh reads are those that it says it reads, over many ways to write them.
func TestOurSourcesAreThoseThatSSHReads(t *testing.T) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		real.Missing(t, "ssh is not installed")
	}
	dir := t.TempDir()
	for _, name := range []string{"a.conf", "b.conf", "c"} {
		write(t, filepath.Join(dir, name), "Host "+name+"\n Port 1\n", 0o600)
	}
	write(t, filepath.Join(dir, "deep"), "Include "+dir+"/c\n", 0o600)
	for _, text := range []string{
		"", "# Include /etc/hosts\n", "Include D/*.conf\n", "include=D/c\n", "INCLUDE D/c D/a.conf D/none\n", "Host x\n  Include D/c\nHost *\n  Include D/b.conf\n",
		"Include D/deep D/c\n", "Match all\nInclude D/c\n", "Match host web1\n\tInclude\tD/c\n", "  Include   D/deep\t D/*.conf  \r\n", "Include D/c # words\n",
	} {
		config := filepath.Join(dir, "config")
		write(t, config, strings.ReplaceAll(text, "D/", dir+"/"), 0o600)
		r := &Reader{Program: program, File: config, Home: dir, User: "me"}
		_, files, err := r.ask(t.Context(), "web1")
		if err != nil {
			continue // ssh does not take it: nothing is remembered
		}
		if s := r.sources(); s.plain && !s.same(files) {
			t.Errorf("%q: ssh reads %v, we think %v", text, files, s.files)
		}
	}
}

func TestSSHsComplaintIsTold(t *testing.T) {
	reader, _, config := counted(t)
	write(t, config, "Host web1\n  Prot 22\n", 0o600)
	_, err := reader().Of(t.Context(), "web1")
	if !fault.Is(err, fault.Usage) || !strings.Contains(err.Error(), "line 2: Bad configuration option: prot") || strings.Contains(err.Error(), "debug1") {
		t.Errorf("%v", err)
	}
}

func TestABrokenMemoryIsNoMemory(t *testing.T) {
	reader, runs, config := counted(t)
	write(t, config, "Host web1\n  Port 2222\n", 0o600)
	of(t, reader(), "web1")
	for _, text := range []string{"", "{", `{"sum":"x","hosts":{"web1":{"port":["1"]}}}`, `{"hosts":7}`, "null"} {
		write(t, reader().path(), text, 0o600)
		if got := of(t, reader(), "web1"); got["port"][0] != "2222" {
			t.Errorf("%q: %v", text, got)
		}
	}
	if runs() != 6 {
		t.Errorf("%d runs", runs())
	}
}

func FuzzSources(f *testing.F) {
	for _, seed := range []string{"Include a*", "Match host x exec y", "a=b", "Include", "\x00", "Match all", "Match !host a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w := walk{home: "/nowhere", plain: true}
		for line := range strings.Lines(text) {
			w.line(strings.TrimSpace(line), "/nowhere", 0)
		}
		if !plainMatch(text) {
			return
		}
		for i, word := range strings.Fields(strings.ToLower(text)) {
			if i%2 == 0 && slices.Contains([]string{"exec", "!exec", "localnetwork", "final", "canonical"}, word) {
				t.Errorf("%q is taken for plain", text)
			}
		}
	})
}
