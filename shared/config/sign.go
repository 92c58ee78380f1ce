package config

import (
	"path/filepath"

	"synchro.example/shared/signature"
)

// checkKeys looks at the list signed_by.
func (p *parser) checkKeys(key string, keys []string) {
	for _, k := range keys {
		if !signature.IsPublic(k) {
			p.add(key+".signed_by", "%q is no public key (U and 55 letters and digits); `synchro keys new FILE` makes a key and prints its public half", k)
		}
	}
}

// checkSigned refuses that what a relay makes itself could not be believed: the source cannot
// have signed it.
func (p *parser) checkSigned(key string, ch Channel, from Site) {
	p.checkKeys(key, ch.SignedBy)
	if ch.Expression != "" && len(from.SignedBy) > 0 && len(ch.SignedBy) == 0 {
		p.add(key+".signed_by", "is missing: sites.%s has signed_by, and because of the expression the relay makes changes of its own; "+
			"give it a key with `sign`, and name that here", ch.From)
	}
}

// checkSecrets refuses that a key lies where its site's content does: it would be sent to
// everybody.
func (p *parser) checkSecrets(c *Config) {
	keys := map[string]string{}
	for name, s := range c.Sites {
		keys["sites."+name+".sign"] = s.Sign
	}
	for name, ch := range c.Channels {
		keys["channels."+name+".sign"] = ch.Sign
	}
	for _, key := range sortedKeys(keys) {
		for _, name := range sortedKeys(c.Sites) {
			if f := c.Sites[name].Folder; f != nil && keys[key] != "" && inside(filepath.Clean(real(keys[key])), real(f.Path)) {
				p.add(key, "lies inside the folder of site %s, where it would be sent to others; move it out", name)
			}
		}
	}
}
