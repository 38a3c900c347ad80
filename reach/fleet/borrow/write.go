package borrow

import (
	"slices"
	"strings"

	"staunch/fault"
	"staunch/reach/fleet"

	"github.com/goccy/go-yaml"
)

// Write spells a fleet's hosts as staunch.yaml, to begin one from a borrowed inventory. Services and endpoints are for people to add.
func Write(f *fleet.Fleet) ([]byte, error) {
	hosts := yaml.MapSlice{}
	for _, h := range f.Hosts {
		hosts = append(hosts, yaml.MapItem{Key: h.Name, Value: entry(f, h)})
	}
	rings := yaml.MapSlice{}
	for _, r := range f.Rings {
		rings = append(rings, yaml.MapItem{Key: r.Name, Value: yaml.MapSlice{{Key: "quorum", Value: r.Quorum}}})
	}
	out, err := yaml.MarshalWithOptions(yaml.MapSlice{{Key: "rings", Value: rings}, {Key: "hosts", Value: hosts}}, yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return nil, fault.New(fault.Bug, "the fleet cannot be written: %v", err)
	}
	head := "# Written by staunch hosts import from " + strings.ReplaceAll(f.Source, "\n", " ") + "; docs/fleet.md explains every key.\n"
	return append([]byte(head), out...), nil
}

// entry is a host's mapping without what is usual.
func entry(f *fleet.Fleet, h fleet.Host) yaml.MapSlice {
	out := yaml.MapSlice{}
	add := func(key string, value any, usual bool) {
		if !usual {
			out = append(out, yaml.MapItem{Key: key, Value: value})
		}
	}
	add("address", h.Address, h.Address == "")
	add("port", h.Port, h.Port == 0)
	add("user", h.User, h.User == "")
	add("ring", h.Ring, h.Ring == f.Home())
	labels := []string{}
	for l := range h.Labels {
		labels = append(labels, l)
	}
	slices.Sort(labels)
	add("labels", labels, len(labels) == 0)
	add("system", h.System, h.System == "")
	add("restart_hook", h.Hook, h.Hook == "")
	add("restart_on", h.HookOn, h.HookOn == "")
	add("via", string(h.Via), h.Via == "")
	return out
}
