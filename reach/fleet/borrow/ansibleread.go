package borrow

import (
	"encoding/json"
	"errors"
	"strings"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/reach/fleet/syntax"

	"github.com/goccy/go-yaml"
)

// maxNested bounds groups inside groups.
const maxNested = 20

// AnsibleJSON reads what ansible-inventory --list prints.
func AnsibleJSON(text []byte, source string) (*fleet.Fleet, error) {
	var groups map[string]json.RawMessage
	if err := json.Unmarshal(text, &groups); err != nil {
		return nil, fault.New(fault.Corrupt, "%s is not JSON: %v", source, err)
	}
	inv := newAnsible()
	for name, raw := range groups {
		if name == "_meta" {
			var meta struct {
				Vars map[string]map[string]any `json:"hostvars"`
			}
			if err := json.Unmarshal(raw, &meta); err != nil {
				return nil, fault.New(fault.Corrupt, "%s: _meta: %v", source, err)
			}
			for host, vars := range meta.Vars {
				inv.vars[host] = vars
			}
			continue
		}
		if err := inv.jsonGroup(name, raw); err != nil {
			return nil, fault.New(fault.Corrupt, "%s: group %s: %v", source, name, err).Hinted("the output of ansible-inventory --list is expected")
		}
	}
	return inv.fleet(source)
}

// jsonGroup takes one group: as ansible-inventory prints it, or as inventory scripts may: with variables, or as a bare list of hosts.
func (a *ansible) jsonGroup(name string, raw json.RawMessage) error {
	var g struct {
		Hosts    []string       `json:"hosts"`
		Children []string       `json:"children"`
		Vars     map[string]any `json:"vars"`
	}
	if json.Unmarshal(raw, &g.Hosts) != nil {
		if err := json.Unmarshal(raw, &g); err != nil {
			return err
		}
	}
	a.hosts[name] = append(a.hosts[name], g.Hosts...)
	a.children[name] = append(a.children[name], g.Children...)
	for k, v := range g.Vars {
		a.share(name, k, v)
	}
	return nil
}

// AnsibleINI reads an inventory in Ansible's INI form.
func AnsibleINI(text []byte, source string) (*fleet.Fleet, error) {
	inv, group, part := newAnsible(), "ungrouped", ""
	for n, line := range fleet.Lines(text) {
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			group, part, _ = strings.Cut(strings.Trim(line, "[]"), ":")
			continue
		}
		var err error
		switch part {
		case "":
			err = inv.line(group, line)
		case "children":
			inv.children[group] = append(inv.children[group], line)
		case "vars":
			if k, v, has := strings.Cut(line, "="); has {
				inv.share(group, strings.TrimSpace(k), strings.Trim(strings.TrimSpace(v), `"'`))
			}
		default:
			err = fault.New(fault.Usage, "section [%s:%s] is unknown", group, part)
		}
		if err != nil {
			return nil, fleet.At(source, n, err)
		}
	}
	return inv.fleet(source)
}

func (a *ansible) line(group, line string) error {
	words := strings.Fields(line)
	vars := map[string]any{}
	for _, w := range words[1:] {
		if k, v, has := strings.Cut(w, "="); has {
			vars[k] = strings.Trim(v, `"'`)
		}
	}
	return a.add(group, words[0], vars)
}

// AnsibleYAML reads an inventory in Ansible's YAML form.
func AnsibleYAML(text []byte, source string) (*fleet.Fleet, error) {
	groups, err := ansibleGroups(text, source)
	if err != nil {
		return nil, err
	}
	inv := newAnsible()
	for name, g := range groups {
		if err := inv.group(name, g, 0); err != nil {
			return nil, fault.New(fault.KindOf(err), "%s: %v", source, err).Hinted("%s", fault.HintOf(err))
		}
	}
	return inv.fleet(source)
}

// ansibleGroups decodes the text.
func ansibleGroups(text []byte, source string) (map[string]ansibleGroup, error) {
	var groups map[string]ansibleGroup
	err := decoded(text, source, &groups)
	return groups, err
}

// decoded reads YAML without aliases, by which a small text can stand for an endless one.
func decoded(text []byte, source string, into any) error {
	tree, err := syntax.Parse(text, source)
	if err != nil {
		return err
	}
	if syntax.Aliased(tree) {
		return fault.New(fault.Unsupported, "%s uses YAML aliases, which are not read here", source).Hinted("use the output of: ansible-inventory --list")
	}
	return unmarshal(text, source, into)
}

// unmarshal: the decoder is not ours; a panic in it is the file's fault, not ours to die of.
func unmarshal(text []byte, source string, into any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Corrupt, "%s is not YAML: the parser gave up: %v", source, p)
		}
	}()
	var wrong yaml.Error
	switch err := yaml.Unmarshal(text, into); {
	case errors.As(err, &wrong) && wrong.GetToken() != nil:
		at := wrong.GetToken().Position
		return fault.New(fault.Usage, "%s:%d:%d: not an Ansible inventory: %s", source, at.Line, at.Column, wrong.GetMessage()).Hinted("a group has hosts, children and vars; each of them is a mapping (name: ...)")
	case err != nil:
		return fault.New(fault.Usage, "%s is not an Ansible inventory: %s", source, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return nil
}

type ansibleGroup struct {
	Hosts    map[string]map[string]any `yaml:"hosts"`
	Children map[string]*ansibleGroup  `yaml:"children"`
	Vars     map[string]any            `yaml:"vars"`
}

func (a *ansible) group(name string, g ansibleGroup, depth int) error {
	if depth > maxNested {
		return fault.New(fault.Usage, "group %s is nested too deeply", name)
	}
	for k, v := range g.Vars {
		a.share(name, k, v)
	}
	for pattern, vars := range g.Hosts {
		if err := a.add(name, pattern, vars); err != nil {
			return err
		}
	}
	for child, inner := range g.Children {
		a.children[name] = append(a.children[name], child)
		if inner == nil {
			continue
		}
		if err := a.group(child, *inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}
