package importer

import (
	"testing"

	"synchro.example/shared/content"
	"synchro.example/shared/deadletter"
)

func TestAChangeWithAPayloadThatTheSiteDoesNotTakeIsSetAside(t *testing.T) {
	w := newWorld(t)
	export := w.put("export", page("x"))
	export.Payloads = append(export.Payloads, export.Payloads[0])
	export.Payloads[len(export.Payloads)-1].Plugin = content.PluginZEXP
	export.Digest = content.DigestOf(export.Payloads)
	w.publish(export, w.put("page", page("x")), w.put("bare", folder()))
	takes := func(plugins ...string) func(*Options) { return func(o *Options) { o.Accept = plugins } }
	w.settle(takes(content.PluginContent, content.PluginFSS, content.PluginDelete))
	w.want("bare", "page")
	w.wantFailures("export unsupported")

	w.ask(deadletter.Request{By: "me"})
	w.settle(takes(content.PluginContent, content.PluginFSS, content.PluginZEXP)) // which is trusted now
	w.want("bare", "export", "page")
	w.wantFailures()
}

func TestASiteThatTakesNoDeletionsKeepsWhatItHas(t *testing.T) {
	w := newWorld(t)
	w.publish(w.put("page", page("x")))
	w.settle()
	gone := w.remove("page", content.TypeFile)
	gone.Payloads = append(gone.Payloads, w.put("other", page("y")).Payloads[0])
	gone.Payloads[0].Plugin = content.PluginDelete
	gone.Digest = content.DigestOf(gone.Payloads)
	w.publish(gone)
	w.settle(func(o *Options) { o.Accept = []string{content.PluginContent, content.PluginFSS} })
	w.want("page")
	w.wantFailures("page unsupported")
}
