package syntax

import (
	"errors"
	"io"

	"staunch/fault"

	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// Limits of the text before it is parsed: a parser that is not ours asks much memory for each level and each token.
const (
	maxNested = 100
	maxTokens = 4_000_000
)

// shallow refuses text that is nested without end, or says more than so many things. It reads token by token and keeps none: three megabytes of "[" must not cost
// the memory that their tree would.
func shallow(text []byte, source string, most int) error {
	var s scanner.Scanner
	s.Init(string(text))
	depth, row, line, count := 0, 0, 0, 0
	for {
		some, err := s.Scan()
		for _, t := range some {
			if t.Position != nil && t.Position.Line != line {
				line, row = t.Position.Line, 0
			}
			switch t.Type {
			case token.SequenceStartType, token.MappingStartType:
				depth++
			case token.SequenceEndType, token.MappingEndType:
				depth--
			case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
				row++ // "- - - x" on one line is nested as well
			}
			if count++; depth+row > maxNested {
				return fault.New(fault.Usage, "%s:%d:%d: nested too deeply", source, t.Position.Line, t.Position.Column)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil || count > most:
			return tooMuch(source, most, err)
		}
	}
}

// tooMuch: what the scanner cannot read is told by the parser, with its place.
func tooMuch(source string, most int, err error) error {
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return fault.New(fault.Full, "%s says more than %d things", source, most)
}
