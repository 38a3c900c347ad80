package elf

import (
	"bytes"
	"compress/zlib"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"staunch/see/scan/elf/image"
	"staunch/tame"
)

// languages reads what the toolchains of Go and Rust record about their own programs.
func languages(im *image.Image, t *trace) []Component {
	return append(goModules(im, t), crates(im)...)
}

const (
	maxGoFile  = 512 << 20
	maxModules = 4096
)

// goModules lists the main module, the modules and the standard library of a Go program, all linked in.
func goModules(im *image.Image, t *trace) []Component {
	if im.Size > maxGoFile || !mayBeGo(im, t) {
		return nil
	}
	info, err := readBuildInfo(&counted{r: im.File, left: 1 << 30})
	if err != nil {
		return nil
	}
	t.noC = builtWithoutC(info)
	version := strings.TrimPrefix(strings.Fields(info.GoVersion + " ")[0], "go")
	out := []Component{module("stdlib", version, "built by its toolchain, "+info.GoVersion)}
	if info.Main.Path != "" {
		out = append(out, module(info.Main.Path, info.Main.Version, "main module of the program"))
	}
	for _, d := range info.Deps[:min(len(info.Deps), maxModules)] {
		says := "in its build information"
		if d.Replace != nil {
			says = fmt.Sprintf("in its build information, in place of %s %s", d.Path, d.Version)
			d = d.Replace
		}
		out = append(out, module(d.Path, d.Version, says))
	}
	return out
}

// builtWithoutC tells whether the toolchain recorded that it linked no C code.
func builtWithoutC(info *buildinfo.BuildInfo) bool {
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" {
			return s.Value == "0"
		}
	}
	return false
}

// linked leaves out what only texts speak for in a Go program without C: such a program quotes those texts (a scanner's rules, an error
// table), it does not hold the code. Symbols still count.
func (t *trace) linked(list []Component) []Component {
	if !t.noC {
		return list
	}
	var out []Component
	for _, c := range list {
		for _, e := range c.Evidence {
			if e.Kind == "symbol" {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

func module(path, version, says string) Component {
	if version == "(devel)" {
		version = ""
	}
	return Component{
		Name: tame.Short(path, 256), Version: strings.TrimPrefix(tame.Short(version, 256), "v"), Linkage: Static, Kind: "Go",
		Evidence: []Evidence{{Kind: "build_info", Says: tame.Short(says, 256)}},
	}
}

// mayBeGo tells whether Go's build information can be in the file: it lies in writable data, which the pass does not read.
func mayBeGo(im *image.Image, t *trace) bool {
	if len(t.goInfo) > 0 {
		return true
	}
	if _, ok := im.Labelled(".go.buildinfo"); ok {
		return true
	}
	for _, s := range im.Writable() {
		b, err := im.Bytes(s.Off, min(s.Size, 64<<10))
		if err == nil && bytes.Contains(b, []byte("\xff Go buildinf:")) {
			return true
		}
	}
	return false
}

// readBuildInfo keeps a hostile file from ending the scan: the standard reader has had panics on such.
func readBuildInfo(r io.ReaderAt) (info *buildinfo.BuildInfo, err error) {
	defer func() {
		if p := recover(); p != nil {
			info, err = nil, fmt.Errorf("unreadable build information: %v", p)
		}
	}()
	return buildinfo.Read(r)
}

// counted bounds how many bytes are read altogether.
type counted struct {
	r    io.ReaderAt
	left int64
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	if c.left -= int64(len(b)); c.left < 0 {
		return 0, image.ErrShort
	}
	return c.r.ReadAt(b, off)
}

const (
	maxAudit = 8 << 20
	maxCrate = 8192
)

// crates lists what cargo auditable wrote into .dep-v0: zlib-compressed JSON.
func crates(im *image.Image) []Component {
	s, ok := im.Labelled(".dep-v0")
	if !ok || s.Size > maxAudit {
		return nil
	}
	b, err := im.Bytes(s.Off, s.Size)
	if err != nil {
		return nil
	}
	return auditData(b)
}

func auditData(b []byte) []Component {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	defer z.Close()
	var audit struct {
		Packages []struct {
			Name, Version, Source, Kind string
			Root                        bool
		}
	}
	if err := json.NewDecoder(io.LimitReader(z, maxAudit)).Decode(&audit); err != nil {
		return nil
	}
	var out []Component
	for _, p := range audit.Packages[:min(len(audit.Packages), maxCrate)] {
		if p.Kind == "build" || p.Kind == "dev" || p.Name == "" {
			continue
		}
		says := "in its audit data, from " + tame.Short(p.Source, 256)
		if p.Root {
			says = "the program itself, in its audit data"
		}
		out = append(out, Component{Name: tame.Short(p.Name, 256), Version: tame.Short(p.Version, 256), Linkage: Static, Kind: "crates.io", Evidence: []Evidence{{Kind: "build_info", Says: says}}})
	}
	return out
}
