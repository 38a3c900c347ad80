// Command staunch finds, judges, mends and proves: see the README.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"staunch/cli"
	"staunch/see/scan"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "devel"

func main() {
	if code, done := guard(os.Args); done {
		os.Exit(code)
	}
	scan.CollectLate()
	cobra.EnableCommandSorting = false // help follows the night, not the alphabet
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Version: version, Self: "/proc/self/exe",
	})
	stop()
	tell(os.Args, code)
	os.Exit(code)
}
