package plone

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"synchro.example/shared/fault"
)

// translationsField is the name of the translations in omit and in reasons.
const translationsField = "translations"

// translationsNote notes that links came from the source. A state as it is read on the
// target does not have them.
const translationsNote = remark + translationsField

// translations gives the UIDs of the other objects in a row's translation group. The
// language folders are linked by the site itself.
func (s *source) translations(r *row) []string {
	if r.Group == "" || isStructural(r.Type) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var uids []string
	for _, other := range s.rows {
		if other.Group == r.Group && other.UID != r.UID && !isStructural(other.Type) {
			uids = append(uids, other.UID)
		}
	}
	slices.Sort(uids)
	return uids
}

// translate links the object with its translations, as far as they are on the site. A link
// that the source has no more goes only when it came from there.
func (w *work) translate(ctx context.Context) error {
	linked := w.base[translationsNote] != ""
	if !w.wants(translationsField) || len(w.want.Translations) == 0 && !linked {
		return nil
	}
	rows, err := w.byUIDs(ctx, append([]string{w.uid()}, w.want.Translations...))
	if err != nil || len(rows[w.uid()]) == 0 {
		return err
	}
	own := rows[w.uid()][0]
	if own.Group == "" {
		return fault.Errorf(fault.Park, fault.Refused, "/%s has translations, and the site has no languages; install plone.app.multilingual there, or add translations to omit", w.to)
	}
	if linked {
		if err := w.unlinkOthers(ctx, &own); err != nil {
			return err
		}
	}
	for _, uid := range w.want.Translations {
		switch there := rows[uid]; {
		case len(there) == 0:
			w.miss(uid)
		case there[0].Group != own.Group:
			if err := w.linkTranslation(ctx, uid); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *work) linkTranslation(ctx context.Context, uid string) error {
	w.effects++
	_, err := w.do(ctx, request{method: http.MethodPost, path: w.to, service: "@translations", body: jsonObject{"id": uid}})
	if err != nil {
		return fmt.Errorf("link the translation %s: %w", uid, err)
	}
	return nil
}

// unlinkOthers takes what is no translation any more out of the group.
func (w *work) unlinkOthers(ctx context.Context, own *row) error {
	group, err := w.search(ctx, "", url.Values{"TranslationGroup": {own.Group}}, 0, pageSize)
	if err != nil {
		return err
	}
	for _, r := range group.Items {
		if r.UID == own.UID || r.Group != own.Group || slices.Contains(w.want.Translations, r.UID) {
			continue
		}
		w.effects++
		_, err := w.do(ctx, request{method: http.MethodDelete, path: w.to, service: "@translations", body: jsonObject{"language": r.Language}})
		if err != nil {
			return fmt.Errorf("unlink the translation /%s: %w", r.path, err)
		}
	}
	return nil
}
