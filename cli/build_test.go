package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"staunch/mend/build"
	"staunch/reach/fleet"
	"staunch/reach/fleet/borrow"
	"staunch/reach/lab"
	"staunch/see/scan/elf"
	"staunch/testbed/real"
)

// The distribution has no fixed library: it is built from pinned source, voted on by its content, brought to each host ring by ring, and runs there.
func TestALibraryBuiltElsewhereReachesTheFleet(t *testing.T) {
	real.Program(t, "gcc")
	o := operator{person: newPerson(t), env: map[string]string{"PATH": os.Getenv("PATH")}}
	o.write("tally.c", "int tally(void) { return 11; }\n")
	if out, err := exec.Command("tar", "-C", o.dir, "-czf", o.path("tally.tar.gz"), "tally.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sum, err := exec.Command("sha256sum", o.path("tally.tar.gz")).Output()
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := json.Marshal(build.Recipe{
		Schema: 1, Package: "libtally1", Says: "tally 1.1 with the upstream patch", Source: "tally.tar.gz", SHA256: strings.Fields(string(sum))[0],
		Commands: [][]string{{"gcc", "-shared", "-fPIC", "-Wl,-soname,libtally.so.1", "-o", "out.so", "tally.c"}}, Output: "out.so", Path: lab.Library + ".1", Links: []string{"libtally.so.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.write("recipe.json", string(recipe))
	has(t, "build", o.mustType("build", o.path("recipe.json"), "-o", o.path("built")), "built libtally.so.1.1 (libtally.so.1, x86_64)", "next: staunch plan make")
	text, err := os.ReadFile(o.path("built/built.json"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := build.ReadMade(text)
	if err != nil {
		t.Fatal(err)
	}

	f, world := lab.Example(2)
	real := lab.Build{
		Path: lab.Library, Package: "libtally1", Source: "tally", Version: "1.1-built", Soname: "libtally.so.1", SHA256: made.SHA256, Object: made.Object,
		Components: []elf.Component{{Name: "tally", Version: "1.1", Linkage: elf.Dynamic, Evidence: []elf.Evidence{{Kind: "version", Says: "the object names its version"}}}},
	}
	away := real
	away.Path = lab.Library + ".1" // where the recipe puts it; in the lab the link beside it is the library's own path
	world.Builds = append(world.Builds, real, away)
	o.builds(f, world)
	o.must(1, "incident", "open", "CVE-2026-0001")
	o.refused("nothing affected comes from package", append([]string{"plan", "make", "1"}, "--built", o.other(made))...)
	ada, ben := o.keyOf("ada", true), o.keyOf("ben", true)
	o.makes("--built", o.path("built"))
	shown := o.mustType("plan", "show", "1.1")
	has(t, "the plan", shown, "install_lib", made.SHA256[:12], "tally 1.1 with the upstream patch; built on", "proves  object on disk object "+made.Object[:12])
	if strings.Contains(shown, "does    upgrade") {
		t.Errorf("it upgrades as well:\n%s", shown)
	}
	o.mustType("approve", "1.1", "--key", ada)
	has(t, "the canary", o.must(3, "incident", "run", "1"), "proven install-canary", "clean now: web1")
	o.mustType("approve", "1.1", "--key", ben)
	has(t, "the rest", o.mustType("incident", "run", "1"), "plan 1.1: done")
}

// other describes the library as one of another package.
func (o operator) other(m build.Made) string {
	o.t.Helper()
	m.Package = "libother1"
	text, err := json.Marshal(m)
	if err != nil {
		o.t.Fatal(err)
	}
	library, err := os.ReadFile(o.path("built/" + m.File))
	if err != nil {
		o.t.Fatal(err)
	}
	if err := os.Mkdir(o.path("other"), 0o700); err != nil {
		o.t.Fatal(err)
	}
	o.write("other/built.json", string(text))
	o.write("other/"+m.File, string(library))
	return o.path("other")
}

// builds sets up a pretend fleet for somebody.
func (o *operator) builds(f *fleet.Fleet, world lab.World) {
	o.t.Helper()
	l, err := lab.New(world)
	if err != nil {
		o.t.Fatal(err)
	}
	o.lab = l
	text, err := borrow.Write(f)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write("staunch.yaml", string(text)+services)
	o.write("tally.json", tallybleed)
	o.mustType("advisories", "add", o.path("tally.json"))
}
