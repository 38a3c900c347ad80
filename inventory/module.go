package inventory

import (
	"strings"

	"staunch/see/scan"
)

// module interns a module by what a verdict can see of it.
func (inv *Inventory) module(m scan.Module) int32 {
	var key strings.Builder
	for _, part := range []string{m.Path, m.Component.Kind, m.Component.Name, m.Component.Version, string(m.Component.Linkage)} {
		key.WriteString(part)
		key.WriteByte(0)
	}
	for _, a := range m.Answers {
		key.WriteString(a.Anchor)
		key.WriteByte('=')
		key.WriteString(string(a.Says))
		key.WriteByte(0)
	}
	i := inv.moduleOf.Of(key.String())
	if int(i) == len(inv.modules) {
		inv.modules = append(inv.modules, m)
	}
	return i
}
