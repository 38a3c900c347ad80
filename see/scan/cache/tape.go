package cache

import (
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

// tape is written or read, by the same description of a thing, so that both always agree. Texts that are read are parts of what lies in
// memory anyway: decoding the JSON of a cache took a sixth of a whole look.
type tape struct {
	w *writer // one of both
	r *textReader
}

func (t tape) text(s *string) {
	if t.w != nil {
		t.w.text(*s)
	} else {
		*s = t.r.text()
	}
}

func (t tape) number(n *int64) {
	if t.w != nil {
		t.w.number(uint64(*n))
	} else {
		*n = int64(t.r.number())
	}
}

func (t tape) flag(b *bool) {
	n := int64(0)
	if *b {
		n = 1
	}
	t.number(&n)
	*b = n == 1
}

// list puts all of a list on a tape; no list and an empty one stay apart.
func list[T any](t tape, l *[]T, each func(*T)) {
	if t.w == nil {
		readList(t.r, l, each)
		return
	}
	if *l == nil {
		t.w.number(0)
		return
	}
	t.w.number(uint64(len(*l)) + 1)
	for i := range *l {
		each(&(*l)[i])
	}
}

// readList makes room as it reads: a damaged number must not fill the memory.
func readList[T any](r *textReader, l *[]T, each func(*T)) {
	n := r.count()
	if n == 0 {
		*l = nil
		return
	}
	*l = make([]T, 0, min(n-1, 64))
	for range n - 1 {
		if r.bad {
			return
		}
		var next T
		each(&next)
		*l = append(*l, next)
	}
}

func (t tape) texts(l *[]string) { list(t, l, t.text) }

// word is a text of a type of its own.
func word[S ~string](t tape, s *S) {
	plain := string(*s)
	t.text(&plain)
	*s = S(plain)
}

func (t tape) object(o *elf.Object) {
	for _, s := range []*string{&o.ID, &o.BuildID, &o.SHA256, &o.Machine, &o.Soname, &o.Unknown, &o.Interpreter} {
		t.text(s)
	}
	for _, l := range []*[]string{&o.Needed, &o.RPath, &o.RunPath} {
		t.texts(l)
	}
	t.flag(&o.NoDefault)
	t.number(&o.Size)
	list(t, &o.Components, func(c *elf.Component) {
		t.text(&c.Name)
		t.text(&c.Version)
		word(t, &c.Linkage)
		t.text(&c.Kind)
		list(t, &c.Evidence, func(e *elf.Evidence) {
			t.text(&e.Kind)
			t.text(&e.Says)
			t.text(&e.Detail)
		})
	})
	list(t, &o.Answers, func(a *elf.Answer) {
		t.text(&a.Anchor)
		word(t, &a.Says)
		t.text(&a.Kind)
		t.text(&a.Detail)
	})
}

func (t tape) match(m *owner.Match) {
	for _, s := range []*string{
		&m.Type, &m.Name, &m.Version, &m.Arch, &m.Source, &m.SourceVersion, &m.Distro, &m.Release, &m.Intact, &m.Sum, &m.SumKind,
	} {
		t.text(s)
	}
}
