package elf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"

	"staunch/see/scan/elf/image"
	"staunch/see/scan/elf/rules"
	"staunch/see/scan/elf/sieve"
)

// Options bound what one object may cost.
type Options struct {
	// MaxBytes is the size in bytes above which a file is not read; 0 means 2 GiB.
	MaxBytes int64
	// MaxInstructions bounds the instructions decoded for function shapes in one object; 0 means 20 million.
	MaxInstructions int
}

// Analyser looks inside objects. It is safe for concurrent use; one analysis holds less than 80 MB, usually less than 3 MB.
type Analyser struct {
	opt     Options
	rules   []rules.Rule
	regexps [][]*regexp.Regexp // per rule and text
	sonames []*regexp.Regexp   // per rule, nil when its component has no library
	anchors []Anchor
	text    *sieve.Set
	owners  []textOwner // what each pattern of text stands for
	code    map[string]codeSet
	shapes  map[string][]compiledShape // anchor id to shapes
	wanted  *image.Wanted
	ready   func() error // compiles what every object is asked, for the first one: a look that the cache answers asks none
}

// New compiles the anchors. An error names the anchor that cannot be asked.
func New(anchors []Anchor, opt Options) (*Analyser, error) {
	if opt.MaxBytes == 0 {
		opt.MaxBytes = 2 << 30
	}
	if opt.MaxInstructions == 0 {
		opt.MaxInstructions = 20 << 20
	}
	a := &Analyser{opt: opt, anchors: anchors}
	if err := all(a.checkTexts, a.compileCode, a.compileShapes); err != nil {
		return nil, err
	}
	a.ready = sync.OnceValue(func() error {
		a.rules = rules.All()
		return all(a.compileTexts, a.compilePatterns, a.compileSymbols)
	})
	return a, nil
}

// all does one thing after the other, up to the first error.
func all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// ErrNotELF says that the content is not an ELF file at all; its text is then Object.Unknown.
var ErrNotELF = image.ErrNotELF

// Analyse tells what the object in r (size bytes) is and what it holds. It reads r in pieces and never maps it.
//
// A file that cannot be judged (truncated, malformed, packed, too large, for a machine whose code is not understood, not ELF at all)
// is no error: Object.Unknown says why, and whatever could be learned stands beside it. An error means that looking itself failed:
// the context ended or reading failed; it wraps that cause.
func (a *Analyser) Analyse(ctx context.Context, r io.ReaderAt, size int64) (Object, error) {
	o := Object{Size: size, Components: []Component{}}
	if err := a.ready(); err != nil {
		return o, err
	}
	if size > a.opt.MaxBytes {
		o.Unknown = fmt.Sprintf("too large: %d bytes, the limit is %d", size, a.opt.MaxBytes)
		return o, nil
	}
	im, err := image.Open(r, size)
	if err != nil {
		return o, o.unknown(err)
	}
	o.Machine = im.Machine()
	l := im.Linking()
	o.Soname, o.Needed, o.BuildID = l.Soname, l.Needed, im.BuildID()
	o.Loading = Loading{Interpreter: l.Interpreter, RPath: l.RPath, RunPath: l.RunPath, NoDefault: l.NoDefault}
	t := newTrace(a, o.Machine)
	if o.ID, err = im.Pass(ctx, t.look); err != nil {
		return o, o.unknown(err)
	}
	if p := im.Packer(); p != "" {
		t.packed = p
	}
	t.symbols, t.symbolsRead = im.Symbols(l, a.wanted)
	inside := languages(im, t)
	if t.quotes = t.quotesRules(); (t.noC || t.quotes) && im.Packer() == "" {
		t.packed = "" // its build information or a catalogue of texts was readable: the packer's text is only a text in it
	}
	o.Components = append(t.linked(a.components(im, l, t)), inside...)
	o.Unknown = unjudged(im, t)
	o.Answers, err = a.answers(ctx, im, l, t, o)
	return o, err
}

// unknown keeps the reason in the object when the file is to blame, and returns the error when the look itself failed.
func (o *Object) unknown(err error) error {
	var path interface{ Timeout() bool }
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &path) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, image.ErrShort) || errors.Is(err, io.EOF) {
		err = image.ErrShort
	}
	o.Unknown = err.Error()
	return nil
}

// unjudged says why the object's code says nothing although it could be read; "" when it does.
func unjudged(im *image.Image, t *trace) string {
	switch name := im.Machine(); {
	case t.packed != "":
		return "packed: " + t.packed
	case t.flooded:
		return "hostile: more texts that look like versions than any program holds"
	case name != "x86-64" && name != "aarch64":
		return "machine " + name + ": its code is not understood"
	}
	return ""
}
