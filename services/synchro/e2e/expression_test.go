//go:build unix

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// has waits until a site has just these files and folders.
func (w *world) has(name string, want ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s has %q", name, want), func() string {
		got := sortedKeys(w.look(name, false))
		if slices.Equal(got, want) {
			return ""
		}
		return fmt.Sprintf("it has %q", got)
	})
}

func TestAnObjectComesAndGoesWithItsTitle(t *testing.T) {
	w := newWorld(t, "paris", "lyon", "nice")
	card := func(name, title string) {
		w.write("hq/"+name+".plone.json", fmt.Sprintf(`{"type": "Document", "fields": {"title": %q}}`, title))
	}
	w.configure(
		"hq: {folder: {path: ./hq}", "hq: {folder: {path: ./hq, form: objects}",
		"path: ./paris,", "path: ./paris, form: objects,", "path: ./lyon,", "path: ./lyon, form: objects,",
		"nice: {folder: {path: ./nice, writes: ./nice.writes}}", "nice: {folder: {path: ./nice, writes: ./nice.writes, form: objects}, locate: [{path: \"/**\", at: \"/shown/{path}\"}]}",
		"to: [paris, lyon, nice]}", "to: [paris, lyon, nice], expression: \"python:object.Title() == 'To be Exported'\"}",
	)
	card("page", "Not yet")
	card("other", "To be Exported") // shows that the site has been looked at
	w.start(synchro, "up")
	shown := func(names ...string) {
		t.Helper()
		located := []string{"shown"}
		for i, name := range names {
			names[i] = name + ".plone.json"
			located = append(located, "shown/"+names[i])
		}
		w.has("paris", names...)
		w.has("lyon", names...)
		got := w.look("nice", false)
		w.eventually("nice has them where its rule puts them", func() string {
			got = w.look("nice", false)
			delete(got, "shown/.plone.json")
			if slices.Equal(sortedKeys(got), located) {
				return ""
			}
			return fmt.Sprintf("it has %q", sortedKeys(got))
		})
	}
	shown("other")
	card("page", "To be Exported")
	shown("other", "page")
	card("page", "Not any more")
	shown("other")
	card("page", "To be Exported")
	shown("other", "page")
	must(t, os.Remove(w.path("hq/page.plone.json")))
	shown("other")
}

func TestFilesArriveInTheirFoldersAndEmptyFoldersDoNot(t *testing.T) {
	for name, expression := range map[string]string{
		"by type": "python: object.portal_type == 'File'",
		"by name": "python: object.getId().endswith('.html')",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "paris")
			w.configure("hq: {folder: {path: ./hq}", "hq: {folder: {path: ./hq, form: objects}",
				"path: ./paris,", "path: ./paris, form: objects,",
				"to: [paris]}", fmt.Sprintf("to: [paris], expression: %q}", expression))
			for _, folder := range []string{"a/b/c/d", "a/empty/also-empty", "e/f"} {
				w.mkdir("hq", folder)
			}
			for _, file := range []string{"a/b/c/d/deep.html", "a/b/near.html", "top.html"} {
				w.write("hq/"+file, "<p>x</p>")
				w.write("hq/"+file+".plone.json", `{"type": "File", "fields": {"title": "x", "file": {"content-type": "text/html"}}, "parts": {"file": ""}}`)
			}
			w.write("hq/e/f/page.plone.json", `{"type": "Document", "fields": {"title": "a page"}}`)
			w.start(synchro, "up")
			var got []string
			w.eventually("the files are there, in their folders", func() string {
				got = slices.DeleteFunc(sortedKeys(w.look("paris", false)), func(p string) bool { return strings.HasSuffix(p, ".plone.json") })
				if want := []string{"a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/deep.html", "a/b/near.html", "top.html"}; !slices.Equal(got, want) {
					return fmt.Sprintf("it has %q", got)
				}
				return ""
			})
		})
	}
}
