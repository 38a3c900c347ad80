// Package syntax reads YAML that may be hostile, by a parser that is not ours: within limits, and with the place of what is wrong.
package syntax

import (
	"bytes"
	"errors"
	"strings"

	"staunch/fault"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Parse parses YAML. The parser is not ours: a panic in it is the file's fault, not ours to die of.
func Parse(text []byte, source string) (tree *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			tree, err = nil, fault.New(fault.Corrupt, "%s is not YAML: the parser gave up: %v", source, p)
		}
	}()
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // the mark that some editors put before UTF-8
	if err := shallow(text, source, maxTokens); err != nil {
		return nil, err
	}
	tree, err = parser.ParseBytes(text, 0)
	var bad *yaml.SyntaxError
	switch {
	case errors.As(err, &bad) && bad.Token != nil:
		at := bad.Token.Position
		return nil, fault.New(fault.Usage, "%s:%d:%d: %s", source, at.Line, at.Column, strings.ReplaceAll(bad.Message, "\t", `\t`)).Hinted("%s", hint(bad.Message))
	case err != nil:
		return nil, fault.New(fault.Usage, "%s is not YAML: %s", source, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return tree, nil
}

func hint(message string) string {
	switch {
	case strings.Contains(message, "\t"):
		return "YAML is indented by spaces, never by tabs"
	case strings.Contains(message, "already defined"):
		return "every key stands once; put the two together"
	}
	return "from there on it is not YAML; an open bracket or quote may stand before it"
}

// Aliased tells whether YAML uses aliases, by which a small text can stand for an endless one.
func Aliased(tree *ast.File) bool {
	found := aliasFinder{}
	for _, doc := range tree.Docs {
		if doc.Body != nil {
			ast.Walk(&found, doc.Body)
		}
	}
	return found.found
}

type aliasFinder struct{ found bool }

// Visit looks at one node.
func (a *aliasFinder) Visit(n ast.Node) ast.Visitor {
	if _, is := n.(*ast.AliasNode); is {
		a.found = true
	}
	return a
}
