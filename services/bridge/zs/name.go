package zs

import "strings"

const (
	maxName  = 1 << 10 // of an id, a path of a field, a name, a type
	maxDepth = 128     // segments of a path
)

// badID says what is wrong with an id in a site, "" when nothing is. Ids come to lie in
// paths that a site resolves with a manager's rights, where some prefixes mean more
// than an object.
func badID(id string) string {
	switch {
	case id == "":
		return "is empty"
	case len(id) > maxName:
		return "is too long for an id"
	case id == "." || id == "..":
		return "is no id"
	case strings.ContainsAny(id, `/\`):
		return "has a slash"
	case hasControl(id):
		return "has a control character"
	}
	for _, prefix := range []string{"_", "aq_", "@@", "++"} {
		if strings.HasPrefix(id, prefix) {
			return "begins with " + prefix + ", which a site keeps for itself"
		}
	}
	return ""
}

// badPath finds the first bad id of a path, and what is wrong.
func badPath(ids []string) (id, problem string) {
	switch {
	case len(ids) == 0:
		return "", "the path is empty"
	case len(ids) > maxDepth:
		return "", "the path is too deep"
	}
	for _, id := range ids {
		if problem := badID(id); problem != "" {
			return id, problem
		}
	}
	return "", ""
}

// badWord says what is wrong with a field's name, a type or a uid.
func badWord(word string) string {
	switch {
	case len(word) > maxName:
		return "is too long"
	case hasControl(word):
		return "has a control character"
	}
	return ""
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// firstID gives the first segment of a field's path.
func firstID(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}
