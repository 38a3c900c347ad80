package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"

	"staunch/cli"
)

func main() {
	runtime.MemProfileRate = 512
	code := cli.Run(context.Background(), cli.Env{Args: os.Args[2:], Stdin: os.Stdin, Stdout: io.Discard, Stderr: os.Stderr, Getenv: os.Getenv, Version: "devel"})
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println(code, m.TotalAlloc>>10, "KB", m.Mallocs, "mallocs", m.NumGC, "gc", m.Sys>>10)
	f, _ := os.Create(os.Args[1])
	pprof.Lookup("allocs").WriteTo(f, 0)
	f.Close()
}
