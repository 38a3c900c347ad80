package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"staunch/fault"

	"github.com/goccy/go-yaml"
)

// ansible is an inventory in Ansible's own terms: groups of hosts and of groups, and variables.
type ansible struct {
	hosts    map[string][]string // group to host names, written out
	children map[string][]string // group to groups
	vars     map[string]map[string]any
	shared   map[string]map[string]any // group to the variables of all its hosts
	order    []string                  // host names as they first stood
}

func newAnsible() *ansible {
	return &ansible{hosts: map[string][]string{}, children: map[string][]string{}, vars: map[string]map[string]any{}, shared: map[string]map[string]any{}}
}

// share gives a variable to all hosts of a group.
func (a *ansible) share(group, name string, value any) {
	if a.shared[group] == nil {
		a.shared[group] = map[string]any{}
	}
	a.shared[group][name] = value
}

// depths is how far each group stands below "all", by its longest way: the nearer group's variables count more.
func (a *ansible) depths(groups map[string]bool) map[string]int {
	depth := map[string]int{"all": 0}
	for g := range groups {
		if g != "all" {
			depth[g] = 1
		}
	}
	for range min(len(groups), maxDepth) { // as many rounds as the longest way can have; a circle ends there
		changed := false
		for parent, children := range a.children {
			for _, child := range children {
				if parent != "all" && depth[child] <= depth[parent] && depth[parent] < len(groups) {
					depth[child], changed = depth[parent]+1, true
				}
			}
		}
		if !changed {
			break
		}
	}
	return depth
}

// inherit gives hosts the variables of their groups as Ansible does: all's first, then from the outer groups to the inner ones, by name
// within one depth, and the host's own over all of them.
func (a *ansible) inherit(groups map[string]bool) {
	names := slices.Collect(maps.Keys(groups))
	if a.shared["all"] != nil && !groups["all"] {
		names = append(names, "all")
	}
	depth := a.depths(groups)
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(depth[x]-depth[y], cmp.Compare(x, y)) })
	from := map[string]map[string]any{}
	for _, g := range names {
		members := a.members(g, map[string]bool{})
		if g == "all" {
			members = a.order
		}
		for _, h := range members {
			if len(a.shared[g]) == 0 {
				break
			}
			if from[h] == nil {
				from[h] = map[string]any{}
			}
			maps.Copy(from[h], a.shared[g])
		}
	}
	for h, vars := range from {
		maps.Copy(vars, a.vars[h])
		a.vars[h] = vars
	}
}

// fleet turns groups into labels; a group's label also stands on the hosts of its children.
func (a *ansible) fleet(source string) (*Fleet, error) {
	groups := map[string]bool{}
	for g := range a.hosts {
		groups[g] = true
	}
	for g := range a.children {
		groups[g] = true
	}
	labels := map[string]map[string]string{}
	ordered := map[string]bool{}
	for _, h := range a.order {
		ordered[h] = true
	}
	for g := range groups {
		for _, h := range a.members(g, map[string]bool{}) {
			if labels[h] == nil {
				labels[h] = map[string]string{}
				if !ordered[h] {
					ordered[h], a.order = true, append(a.order, h)
				}
			}
			if g != "all" && g != "ungrouped" && reWord.MatchString(g) {
				labels[h][g] = ""
			}
		}
	}
	a.inherit(groups)
	var hosts []Host
	if len(a.order) > MaxHosts {
		return nil, fault.New(fault.Full, "%s names over %d hosts", source, MaxHosts)
	}
	slices.Sort(a.order)
	for _, name := range a.order {
		h, err := a.host(name, labels[name])
		if err != nil {
			return nil, fault.New(fault.Usage, "%s: %v", source, err)
		}
		hosts = append(hosts, h)
	}
	return Of(source, hosts), nil
}

// members are a group's hosts and those of its children; a group that contains itself ends.
func (a *ansible) members(group string, seen map[string]bool) []string {
	if seen[group] {
		return nil
	}
	seen[group] = true
	all := slices.Clone(a.hosts[group])
	for _, c := range a.children[group] {
		all = append(all, a.members(c, seen)...)
	}
	return all
}

func (a *ansible) host(name string, labels map[string]string) (Host, error) {
	h := Host{Name: name, Labels: labels}
	vars := a.vars[name]
	h.Address = textVar(vars, "ansible_ssh_host", "ansible_host")
	if h.Address == name {
		h.Address = ""
	}
	h.User = textVar(vars, "ansible_ssh_user", "ansible_user")
	if port := textVar(vars, "ansible_ssh_port", "ansible_port"); port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || !validPort(port) {
			return Host{}, fault.New(fault.Usage, "host %s: ansible_port %q is not a port", name, port)
		}
		h.Port = n
	}
	switch textVar(vars, "ansible_connection") {
	case "local":
		h.Via = ViaLocal
	case "winrm", "psrp":
		h.System = "windows"
	}
	if isAddress(name) {
		h.Address, h.Name = name, strings.ReplaceAll(name, ":", "-")
	}
	for _, value := range []string{h.Address, h.User} {
		if strings.Contains(value, "{{") {
			return Host{}, fault.New(fault.Unsupported, "host %s: %q is a template", name, value).Hinted("use the output of: ansible-inventory --list")
		}
	}
	if says := h.wrong(); says != "" {
		return Host{}, fault.New(fault.Usage, "host %q: %s", name, says)
	}
	return h, nil
}

// textVar is the first of these variables that is set. Of ansible_x and ansible_ssh_x Ansible takes the second.
func textVar(vars map[string]any, keys ...string) string {
	for _, k := range keys {
		if v, has := vars[k]; has && v != nil {
			return fmt.Sprint(v)
		}
	}
	return ""
}

// add puts a pattern's hosts into a group.
func (a *ansible) add(group, pattern string, vars map[string]any) error {
	dash := "-"
	if strings.Contains(pattern, "[") {
		dash = ":" // Ansible writes web[01:20]
	} else if name, port, has := strings.Cut(pattern, ":"); has && !isAddress(pattern) && validPort(port) {
		pattern = name
		vars = withPort(vars, port)
	}
	names, err := expand(pattern, dash)
	if err != nil {
		return err
	}
	for _, n := range names {
		a.hosts[group] = append(a.hosts[group], n)
		if a.vars[n] == nil {
			a.vars[n] = map[string]any{}
			a.order = append(a.order, n)
		}
		for k, v := range vars {
			a.vars[n][k] = v
		}
		if len(a.order) > MaxHosts {
			return fault.New(fault.Full, "over %d hosts", MaxHosts)
		}
	}
	return nil
}

func withPort(vars map[string]any, port string) map[string]any {
	out := map[string]any{"ansible_port": port}
	for k, v := range vars {
		out[k] = v
	}
	return out
}

// AnsibleINI reads an inventory in Ansible's INI form.
func AnsibleINI(text []byte, source string) (*Fleet, error) {
	inv, group, part := newAnsible(), "ungrouped", ""
	for n, line := range lines(text) {
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
			return nil, at(source, n, err)
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
func AnsibleYAML(text []byte, source string) (*Fleet, error) {
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

// ansibleGroups decodes the text. The decoder is not ours: a panic in it is the file's fault, not ours to die of.
func ansibleGroups(text []byte, source string) (groups map[string]ansibleGroup, err error) {
	defer func() {
		if p := recover(); p != nil {
			groups, err = nil, fault.New(fault.Corrupt, "%s is not YAML: the parser gave up: %v", source, p)
		}
	}()
	tree, err := syntax(text, source)
	if err != nil {
		return nil, err
	}
	if aliases(tree) {
		return nil, fault.New(fault.Unsupported, "%s uses YAML aliases, which are not read here", source).Hinted("use the output of: ansible-inventory --list")
	}
	if err := yaml.Unmarshal(text, &groups); err != nil {
		return nil, fault.New(fault.Usage, "%s is not an Ansible inventory: %s", source, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return groups, nil
}

type ansibleGroup struct {
	Hosts    map[string]map[string]any `yaml:"hosts"`
	Children map[string]*ansibleGroup  `yaml:"children"`
	Vars     map[string]any            `yaml:"vars"`
}

func (a *ansible) group(name string, g ansibleGroup, depth int) error {
	if depth > maxDepth {
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
