package importer

import (
	"slices"
	"strings"

	"synchro.example/shared/content"
	"synchro.example/shared/fault"
)

// refusal is the fault of a change with a payload that the site does not take, nil when it
// takes them all. A change is taken whole or not at all.
func (i *Importer) refusal(c *content.Change) error {
	for _, p := range c.Payloads {
		switch isBuiltIn := content.IsBuiltIn(p.Plugin); {
		case !isBuiltIn && !i.Plugins.Knows(p.Plugin):
			return fault.Errorf(fault.Park, fault.Unsupported, "the plugin %s made a part of the change, and sites.%s.plugins does not name it", p.Plugin, i.Site)
		case isBuiltIn && i.Accept != nil && !slices.Contains(i.Accept, p.Plugin):
			return fault.Errorf(fault.Park, fault.Unsupported, "site %s takes no %s payloads; sites.%s.accept names %s",
				i.Site, p.Plugin, i.Site, strings.Join(i.Accept, ", "))
		}
	}
	return nil
}
