package cli_test

import (
	"archive/zip"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"staunch/cli"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the command lines of testdata/script. In them "staunch ..." must end with code 0, "code N staunch ..." with N.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"staunch": func(ts *testscript.TestScript, neg bool, args []string) {
				if code := runInScript(ts, args); (code != 0) != neg {
					ts.Fatalf("exit %d", code)
				}
			},
			"code": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				if code := runInScript(ts, args[2:]); code != want {
					ts.Fatalf("exit %d, want %d", code, want)
				}
			},
			"zip": zipFiles,
		},
	})
}

func runInScript(ts *testscript.TestScript, args []string) int {
	in, err := os.Open(os.DevNull)
	ts.Check(err)
	defer in.Close()
	return cli.Run(context.Background(), cli.Env{
		Args: args, Stdin: in, Stdout: ts.Stdout(), Stderr: ts.Stderr(), Version: "test",
		Getenv: func(name string) string {
			if name == "XDG_DATA_HOME" || name == "XDG_CACHE_HOME" {
				return ts.MkAbs("state")
			}
			return ts.Getenv(name)
		},
	})
}

// zipFiles packs files into an archive: zip ARCHIVE FILE...
func zipFiles(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	z := zip.NewWriter(f)
	for _, name := range args[1:] {
		w, err := z.Create(filepath.Base(name))
		ts.Check(err)
		_, err = w.Write([]byte(ts.ReadFile(name)))
		ts.Check(err)
	}
	ts.Check(z.Close())
}
