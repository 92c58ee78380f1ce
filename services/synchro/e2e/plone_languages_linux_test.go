package e2e

import (
	"os"
	"testing"
	"time"
)

func TestTranslationsOfAPloneSiteAreLinkedAsOnTheSource(t *testing.T) {
	if os.Getenv("SYNCHRO_PLONE") == "" {
		t.Skip("no Plone is up: scripts/plone with 1 go test ./services/synchro/e2e -run Plone")
	}
	w := newWorld(t, "paris")
	w.write("password", "secret\n")
	from := newPlone(w, "http://"+w.serve("one").address+"/plone-a")
	to := newPlone(w, "http://"+w.serve("two").address+"/plone-b")
	w.configure("folder: {path: ./hq}", from.yaml(), "folder: {path: ./paris, writes: ./paris.writes}", to.yaml())
	for _, p := range []*plone{from, to} {
		p.call("POST", "@addons/plone.app.multilingual/install", object{})
		p.call("PATCH", "@registry", object{"plone.available_languages": []string{"en", "de"}})
		for _, l := range []string{"en", "de"} {
			if p.rows()[l] == nil {
				t.Skipf("the add-on makes no language folders when it is installed this way: %v", sortedKeys(p.rows()))
			}
		}
	}
	page := from.call("POST", "en", object{"@type": "Document", "id": "page", "title": "page"})
	from.call("POST", "de", object{"@type": "Document", "id": "seite", "title": "Seite"})
	from.call("POST", "de", object{"@type": "Document", "id": "allein", "title": "allein"})
	from.call("POST", "de/seite/@translations", object{"id": page["UID"]})
	time.Sleep(3 * time.Second) // the second that the last date names is to be over
	w.once()
	other := func(p *plone, path string) string {
		items, _ := p.call("GET", path+"/@translations", nil)["items"].([]any)
		if len(items) == 0 {
			return ""
		}
		return items[0].(object)["language"].(string)
	}
	for path, want := range map[string]string{"de/seite": "en", "en/page": "de", "de/allein": ""} {
		if got := other(to, path); got != want || other(from, path) != want {
			t.Errorf("/%s is translated into %q on the target, want %q", path, got, want)
		}
	}
	if again := w.once(); again["hq"] != 0 || again["paris"] != 0 {
		t.Errorf("a second run publishes and applies %v", again)
	}
}
