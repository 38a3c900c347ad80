// Command staunch finds, judges, mends and proves: see the README.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"staunch/cli"
)

// version is set by the build.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Version: version,
	})
	stop()
	os.Exit(code)
}
