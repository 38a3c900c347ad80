package borrow

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"staunch/fault"
	"staunch/pattern"
	"staunch/reach/fleet"
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
	for range min(len(groups), maxNested) { // as many rounds as the longest way can have; a circle ends there
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
func (a *ansible) fleet(source string) (*fleet.Fleet, error) {
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
			if g != "all" && g != "ungrouped" && fleet.IsWord(g) {
				labels[h][g] = ""
			}
		}
	}
	a.inherit(groups)
	var hosts []fleet.Host
	if len(a.order) > fleet.MaxHosts {
		return nil, fault.New(fault.Full, "%s names over %d hosts", source, fleet.MaxHosts)
	}
	slices.Sort(a.order)
	for _, name := range a.order {
		h, err := a.host(name, labels[name])
		if err != nil {
			return nil, fault.New(fault.Usage, "%s: %v", source, err)
		}
		hosts = append(hosts, h)
	}
	return fleet.Of(source, hosts), nil
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

func (a *ansible) host(name string, labels map[string]string) (fleet.Host, error) {
	vars := a.vars[name]
	proto := fleet.Host{Labels: labels, User: textVar(vars, "ansible_ssh_user", "ansible_user")}
	if port := textVar(vars, "ansible_ssh_port", "ansible_port"); port != "" {
		n, is := portOf(port)
		if !is {
			return fleet.Host{}, fault.New(fault.Usage, "host %s: ansible_port %q is not a port", name, port)
		}
		proto.Port = n
	}
	switch textVar(vars, "ansible_connection") {
	case "local":
		proto.Via = fleet.ViaLocal
	case "winrm", "psrp":
		proto.System = "windows"
	}
	if at := textVar(vars, "ansible_ssh_host", "ansible_host"); at != name && !isAddress(name) {
		proto.Address = at
	}
	for _, value := range []string{proto.Address, proto.User} {
		if strings.Contains(value, "{{") {
			return fleet.Host{}, fault.New(fault.Unsupported, "host %s: %q is a template", name, value).Hinted("use the output of: ansible-inventory --list")
		}
	}
	hosts, err := fleet.Like(proto, name)
	if err != nil {
		return fleet.Host{}, err
	}
	return hosts[0], nil
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// portOf reads a port.
func portOf(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0 && n < 65536
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
	if name, port, has := strings.Cut(pattern, ":"); has && !strings.Contains(pattern, "[") && !isAddress(pattern) {
		if _, is := portOf(port); is {
			pattern, vars = name, withPort(vars, port)
		}
	}
	written, err := dashed(pattern)
	if err != nil {
		return err
	}
	names, err := fleet.Expand(written)
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
		if len(a.order) > fleet.MaxHosts {
			return fault.New(fault.Full, "over %d hosts", fleet.MaxHosts)
		}
	}
	return nil
}

var reRange = pattern.New(`\[([0-9]+|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]+))?\]`)

// dashed writes Ansible's ranges in our way: web[01:20] as web[01-20]; one with a step, web[1:9:2], as web[1,3,5,7,9].
func dashed(pattern string) (string, error) {
	var wrong error
	out := reRange.ReplaceAllStringFunc(pattern, func(found string) string {
		m := reRange.FindStringSubmatch(found)
		step, err := strconv.Atoi(cmp.Or(m[3], "1"))
		all, expands := fleet.Expand("[" + m[1] + "-" + m[2] + "]")
		if err != nil || step < 1 || expands != nil {
			wrong = fault.New(fault.Usage, "range %s cannot be read", found)
			return found
		}
		if step == 1 {
			return "[" + m[1] + "-" + m[2] + "]"
		}
		var some []string
		for i := 0; i < len(all); i += step {
			some = append(some, all[i])
		}
		return "[" + strings.Join(some, ",") + "]"
	})
	return out, wrong
}

func withPort(vars map[string]any, port string) map[string]any {
	out := map[string]any{"ansible_port": port}
	for k, v := range vars {
		out[k] = v
	}
	return out
}
