package starts

import (
	"context"
	"path"
	"strings"

	"staunch/see/scan/jail"
)

const (
	maxDepth = 64
	maxWalk  = 5_000_000 // entries of one tree
)

// Tree calls found for every file below start that may hold code: ELF candidates and archives. It returns what was not looked at, one
// sentence each; how is what the starters say. It ends early with ctx.
func Tree(ctx context.Context, root *jail.Root, start, how string, found func(Starter)) (notes []string) {
	w := walker{ctx: ctx, how: how, found: found}
	if dir, err := root.List(start, maxInDir); err == nil { // else not every machine has every directory
		w.tree(dir, start, 0)
	}
	return w.notes
}

type walker struct {
	ctx   context.Context
	how   string
	seen  int
	notes []string
	found func(Starter)
}

// tree visits an open directory and closes it. Links are not followed: what they lead to inside of the tree is met under its own name.
func (w *walker) tree(dir jail.Listing, start string, depth int) {
	defer dir.Close()
	if dir.More {
		w.notes = append(w.notes, "only the first 50,000 files of "+start+" were looked at")
	}
	prefix := strings.TrimSuffix(start, "/") + "/"
	for _, e := range dir.Held {
		if w.seen++; w.seen > maxWalk || w.ctx.Err() != nil {
			return
		}
		switch {
		case e.Dir && depth >= maxDepth:
			w.notes = append(w.notes, "directories below "+prefix+e.Name+" were not looked at: nested too deep")
		case e.Dir && !pseudo(prefix+e.Name):
			if sub, err := dir.Under(e.Name, prefix+e.Name, maxInDir); err == nil {
				w.tree(sub, prefix+e.Name, depth+1)
			}
		case e.Regular && worth(e.Name):
			w.found(Starter{Path: prefix + e.Name, How: w.how})
		}
	}
}

// pseudo tells the kernel's own trees, which hold no programs.
func pseudo(name string) bool { return name == "/proc" || name == "/sys" || name == "/dev" }

// worth leaves out by name what surely is no program, library or archive.
func worth(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".txt", ".md", ".html", ".css", ".png", ".jpg", ".svg", ".gz", ".xz", ".json", ".js", ".ts", ".map", ".py", ".pyc", ".h", ".c", ".cc", ".cpp",
		".hpp", ".go", ".rb", ".pm", ".pl", ".mo", ".po", ".xml", ".yaml", ".yml", ".toml", ".conf", ".rs", ".java", ".class", ".a", ".o", ".list", ".md5sums":
		return false
	}
	return true
}
