package keys

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/see/scan/container"
	"staunch/see/scan/jail"
	"staunch/see/scan/proc"

	"golang.org/x/sys/unix"
)

// Env is what a look takes from its caller besides the question.
type Env struct {
	Proc string // where procfs is mounted; "" means /proc
	Host string // the name to answer under
	Root string // this machine's own root; "" means /
}

// Limits that keep a hostile process from making a look long.
const (
	standardBudget = 64 << 20
	maxFiles       = 5000 // files looked into, over all processes
	maxFDs         = 20_000
	maxEnviron     = 4 << 20
	maxText        = 1 << 20 // one configuration or key file
	maxDepth       = 12      // of includes
)

// Look finds keys, certificates and secrets in reach of processes. Files are opened in each process's own root and never outside of it.
func Look(ctx context.Context, q Question, env Env) (*Found, error) {
	began := time.Now()
	l := &look{
		ctx: ctx, env: env, budget: q.ByteBudget, found: &Found{Schema: Schema, Host: env.Host, Taken: began.UTC().Truncate(time.Millisecond), Keys: []Key{}, Secrets: []Secret{}, Unseen: []Unseen{}},
		files: map[fileID]*material{}, keys: map[string]*Key{}, secrets: map[string]*Secret{},
	}
	l.env.Proc, l.env.Root = cmp.Or(env.Proc, "/proc"), cmp.Or(env.Root, "/")
	if l.budget <= 0 {
		l.budget = standardBudget
	}
	pids := q.PIDs
	if len(pids) == 0 {
		var err error
		if pids, err = proc.PIDs(l.env.Proc); err != nil {
			return nil, fault.New(fault.Denied, "listing processes: %v", err)
		}
	}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return nil, fault.New(fault.Timeout, "looking for keys: %v", err)
		}
		l.process(pid, q)
	}
	l.named(q.Paths)
	if env.Proc == "" && len(q.PIDs)+len(q.Units) == 0 {
		l.accounts()
	}
	l.assemble()
	l.found.TookMS = time.Since(began).Milliseconds()
	return l.found, nil
}

// look is one look in progress.
type look struct {
	ctx     context.Context
	env     Env
	budget  int64
	found   *Found
	files   map[fileID]*material
	keys    map[string]*Key
	secrets map[string]*Secret
	full    bool
}

// fileID is one file, whatever it is called and in whichever root.
type fileID struct {
	major, minor uint32
	inode        uint64
}

// subject is one process being looked at.
type subject struct {
	*look
	dir    *proc.Dir
	root   *jail.Root
	reader Reader // without How
	env    map[string]string
	args   []string
	starts [][]string // command lines with which its unit starts programs
	how    string     // of what is being read now
	says   string
	texts  int // configuration files read
	seen   map[string]bool
}

func (l *look) process(pid int, q Question) {
	dir, err := proc.Open(l.env.Proc, pid)
	if err != nil {
		if !errors.Is(err, unix.ENOENT) || len(q.PIDs) > 0 {
			l.unseen(pid, "", "it is gone or may not be looked at: "+err.Error())
		}
		return
	}
	defer dir.Close()
	s := &subject{look: l, dir: dir, reader: Reader{PID: pid}, env: map[string]string{}, seen: map[string]bool{}}
	s.reader.Name = strings.TrimSpace(s.read("comm", 256))
	s.reader.Unit = container.Parse(s.read("cgroup", maxText)).Unit
	if len(q.Units) > 0 && !slices.Contains(q.Units, s.reader.Unit) {
		return
	}
	s.environment()
	s.unitFiles()
	s.args = strings.Split(strings.TrimRight(s.read("cmdline", maxText), "\x00"), "\x00")
	if len(s.args) == 1 {
		s.args = strings.Fields(s.args[0]) // a program that writes its own title, as nginx does: "nginx: master process nginx -c FILE"
	}
	root, err := jail.OpenAt(dir.FD(), "root")
	if err != nil {
		if len(s.args) > 0 { // a kernel thread has neither
			l.unseen(pid, "", "its files may not be looked at: "+err.Error())
		}
		return
	}
	defer root.Close()
	s.root = root
	s.credentials()
	s.openFiles()
	s.configuration()
}

// read returns a file of the process's own directory as text; "" when it cannot be had.
func (s *subject) read(name string, limit int) string {
	var buf proc.Scratch
	b, err := s.dir.Read(&buf, name, limit)
	if err != nil {
		return ""
	}
	return string(b)
}

func (l *look) unseen(pid int, path, reason string) {
	const most = 1000
	if len(l.found.Unseen) < most {
		l.found.Unseen = append(l.found.Unseen, Unseen{PID: pid, Path: path, Reason: reason})
	}
}

// openFiles looks into what the process has open and is named like a key or certificate.
func (s *subject) openFiles() {
	fds, err := jail.OpenAt(s.dir.FD(), "fd")
	if err != nil {
		s.unseen(s.reader.PID, "", "its open files may not be looked at: "+err.Error())
		return
	}
	defer fds.Close()
	names, more, err := fds.Names(".", maxFDs)
	if err != nil || more {
		s.unseen(s.reader.PID, "", "not all of its open files could be listed")
	}
	s.how, s.says = "open_file", ""
	for _, name := range names {
		to, err := fds.Readlink(name)
		if err != nil || !strings.HasPrefix(to, "/") || !named(to) {
			continue
		}
		s.file(strings.TrimSuffix(to, " (deleted)"))
	}
}

// named tells whether a path looks like key material.
func named(p string) bool {
	switch path.Ext(strings.TrimSuffix(p, " (deleted)")) {
	case ".pem", ".key", ".crt", ".cer", ".der", ".p12", ".pfx", ".jks", ".keystore", ".pk8":
		return true
	}
	for _, dir := range []string{"/etc/letsencrypt/", "/etc/ssl/private/", "/etc/pki/tls/private/", "/run/credentials/"} {
		if strings.HasPrefix(p, dir) {
			return true
		}
	}
	return false
}

// file takes a file of the process's root in, once per process.
func (s *subject) file(p string) {
	if p = path.Clean("/" + p); s.seen[p+"\x00"+s.how] {
		return
	}
	s.seen[p+"\x00"+s.how] = true
	stat, err := s.root.Stat(p)
	if err != nil {
		s.unseen(s.reader.PID, p, err.Error())
		return
	}
	id := fileID{stat.Dev_major, stat.Dev_minor, stat.Ino}
	m := s.files[id]
	if m == nil {
		if m = s.load(p, &stat); m == nil {
			return
		}
		s.files[id] = m
	}
	r := s.reader
	r.How, r.Says = s.how, s.says
	m.readers = addReader(m.readers, r)
}

// load reads and parses one file within the budget.
func (s *subject) load(p string, stat *unix.Statx_t) *material {
	if s.budget <= 0 || len(s.files) >= maxFiles {
		if !s.full {
			s.full = true
			s.unseen(0, "", "the budget for reading files is used up: there may be more keys")
		}
		return nil
	}
	b, err := s.root.Read(p, maxText)
	if err != nil {
		s.unseen(s.reader.PID, p, err.Error())
		return nil
	}
	s.budget -= int64(len(b))
	m := parse(b)
	m.file.Path, m.file.Mode = p, fmt.Sprintf("%04o", stat.Mode&0o7777)
	m.file.Owner, m.file.Group = s.account("/etc/passwd", stat.Uid), s.account("/etc/group", stat.Gid)
	return m
}

// account names a user or group as the process's own root does.
func (s *subject) account(list string, id uint32) string {
	b, err := s.root.Read(list, maxText)
	if err != nil {
		return fmt.Sprint(id)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) > 2 && f[2] == fmt.Sprint(id) {
			return f[0]
		}
	}
	return fmt.Sprint(id)
}

func addReader(list []Reader, r Reader) []Reader {
	if slices.ContainsFunc(list, func(o Reader) bool { return o.PID == r.PID && o.How == r.How }) {
		return list
	}
	return append(list, r)
}

// named looks through further files and directories of this machine's own root.
func (l *look) named(paths []string) {
	if len(paths) == 0 {
		return
	}
	root, err := jail.Open(l.env.Root)
	if err != nil {
		l.unseen(0, l.env.Root, err.Error())
		return
	}
	defer root.Close()
	s := &subject{look: l, root: root, seen: map[string]bool{}}
	for _, p := range paths {
		s.tree(p, 4)
	}
	for _, m := range l.files { // nobody was seen reading these
		m.readers = slices.DeleteFunc(m.readers, func(r Reader) bool { return r.PID == 0 })
	}
}

// accounts looks where ACME clients keep their accounts' keys; most machines have none.
func (l *look) accounts() {
	var there []string
	for _, dir := range accountDirs() {
		if _, err := os.Stat(dir); err == nil {
			there = append(there, dir)
		}
	}
	l.named(there)
}

// tree takes in a file, or every file below a directory.
func (s *subject) tree(p string, depth int) {
	stat, err := s.root.Stat(p)
	switch {
	case err != nil:
		s.unseen(s.reader.PID, p, err.Error())
	case stat.Mode&unix.S_IFMT == unix.S_IFREG:
		s.file(p)
	case stat.Mode&unix.S_IFMT == unix.S_IFDIR && depth > 0:
		names, more, err := s.root.Names(p, maxFiles)
		if err != nil || more {
			s.unseen(s.reader.PID, p, "not everything in it could be listed")
		}
		for _, name := range names {
			s.tree(path.Join(p, name), depth-1)
		}
	}
}

// assemble joins files that hold the same key.
func (l *look) assemble() {
	for _, id := range slices.SortedFunc(maps.Keys(l.files), func(a, b fileID) int {
		return cmp.Or(cmp.Compare(l.files[a].file.Path, l.files[b].file.Path), cmp.Compare(a.inode, b.inode))
	}) {
		m := l.files[id]
		for i := range m.keys {
			l.join(m, &m.keys[i])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.keys)) {
		l.found.Keys = append(l.found.Keys, *l.keys[id])
	}
	for _, id := range slices.Sorted(maps.Keys(l.secrets)) {
		l.found.Secrets = append(l.found.Secrets, *l.secrets[id])
	}
}

func (l *look) join(m *material, k *Key) {
	id := k.SPKI
	if id == "" {
		id = "file " + m.file.Path
	}
	have := l.keys[id]
	if have == nil {
		have = &Key{SPKI: k.SPKI, Type: k.Type, Bits: k.Bits, Files: []File{}}
		l.keys[id] = have
	}
	have.Private, have.Encrypted = have.Private || k.Private, have.Encrypted || k.Encrypted
	f := m.file
	f.Holds = k.Files[0].Holds
	f.Format = k.Files[0].Format
	if !slices.Contains(have.Files, f) {
		have.Files = append(have.Files, f)
	}
	for _, c := range k.Certificates {
		if !slices.ContainsFunc(have.Certificates, func(o Certificate) bool { return o.SHA256 == c.SHA256 }) {
			have.Certificates = append(have.Certificates, c)
		}
	}
	for _, r := range m.readers {
		have.Readers = addReader(have.Readers, r)
	}
}

// Local answers a question about this machine.
func Local(ctx context.Context, q Question) (*Found, error) {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return Look(ctx, q, Env{Host: name})
}

// Answer is Local for a question and an answer as JSON: what a host part is asked over the wire.
func Answer(ctx context.Context, question json.RawMessage) (json.RawMessage, error) {
	var q Question
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, fault.New(fault.Usage, "a question for keys that cannot be read: %v", err)
	}
	found, err := Local(ctx, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(found)
}
