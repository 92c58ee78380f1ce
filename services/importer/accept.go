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
	if i.Accept == nil {
		return nil
	}
	for _, p := range c.Payloads {
		if !slices.Contains(i.Accept, p.Plugin) {
			return fault.Errorf(fault.Park, fault.Unsupported, "site %s takes no %s payloads; sites.%s.accept names %s",
				i.Site, p.Plugin, i.Site, strings.Join(i.Accept, ", "))
		}
	}
	return nil
}
