// Command synchro-lines is synchro with a plugin of one's own, which gives text files the
// line ends of Unix on the sites that name it:
//
//	sites:
//	  paris:
//	    folder: {path: ./paris}
//	    plugins: [{id: unix-lines, sides: [import], types: [file]}]
package main

import (
	"bytes"
	"context"
	"io"
	"path"
	"slices"

	"synchro.example/services/synchro/program"
	"synchro.example/shared/content"
	"synchro.example/shared/plugin"
)

func main() { program.Main(unixLines) }

// largest is the largest text that is changed: it is held in memory.
const largest = 16 << 20

var unixLines = plugin.Plugin{
	ID:     "unix-lines",
	Events: []content.Kind{content.Modified},
	Import: func(ctx context.Context, c *plugin.Call) ([]plugin.Part, error) {
		i := slices.IndexFunc(c.Change.Payloads, func(p content.Payload) bool { return p.Plugin == content.PluginFSS })
		if i < 0 || path.Ext(c.To) != ".txt" {
			return nil, nil
		}
		return toUnix(ctx, c, i)
	},
}

func toUnix(ctx context.Context, c *plugin.Call, i int) ([]plugin.Part, error) {
	p := &c.Change.Payloads[i]
	if p.Size > largest {
		return nil, plugin.Refuse("a text of %d bytes; the limit is %d", p.Size, largest)
	}
	r, err := c.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	unix := bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if len(unix) == len(text) {
		return nil, nil
	}
	changed, err := c.Store(ctx, bytes.NewReader(unix))
	return []plugin.Part{{Index: i, Payload: changed}}, err
}
