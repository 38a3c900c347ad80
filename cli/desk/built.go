package desk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"staunch/fault"
	"staunch/ledger"
	"staunch/mend/build"
	"staunch/mend/patch"
)

// payloadDocument keeps what runs bring to hosts, by its checksum.
const payloadDocument = "payload"

// TakeBuilt reads libraries that were built, and keeps them beside the ledger so that every runner can bring them to hosts.
func (d *Desk) TakeBuilt(ctx context.Context, dirs []string) (map[string]patch.Built, error) {
	out := map[string]patch.Built{}
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "built.json"))
		if err != nil {
			return nil, fault.New(fault.NotFound, "%v", err).Hinted("--built names the folder that `staunch build` wrote")
		}
		m, err := build.ReadMade(text)
		if err != nil {
			return nil, err
		}
		library, err := build.Library(m, dir)
		if err != nil {
			return nil, err
		}
		if _, twice := out[m.Package]; twice {
			return nil, fault.New(fault.Usage, "two libraries were built for package %s", m.Package)
		}
		if err := d.Store.Put(ctx, ledger.Document{Kind: payloadDocument, ID: m.SHA256, Body: library}, ledger.Any); err != nil {
			return nil, err
		}
		out[m.Package] = patch.Built{
			SHA256: m.SHA256, Object: m.Object, Path: m.Path, Links: m.Links, Arch: m.Arch,
			Recipe: fmt.Sprintf("%s; built on %s from source %.12s by recipe %.12s", m.Says, m.Host, m.Source, m.Recipe),
		}
	}
	return out, nil
}

// Payload gives what was kept.
func (d *Desk) Payload(ctx context.Context, sum string) ([]byte, error) {
	doc, err := d.Store.Get(ctx, payloadDocument, sum)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "the library %.12s is not kept beside this ledger", sum).Hinted("staunch plan make --built keeps it; run the plan where it was made")
	}
	return doc.Body, err
}
