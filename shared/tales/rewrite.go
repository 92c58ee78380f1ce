package tales

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What Python has and Starlark's grammar lacks is written anew, word by word, where
// that is possible without understanding the rest: `is`, u'…', `<>`, 10L, strings
// side by side, generators, sets. For the rest there is advice.

type tokenKind int

const (
	tokenName tokenKind = iota
	tokenNumber
	tokenString
	tokenOther
)

type token struct {
	kind tokenKind
	text string
	at   int // offset in the expression
	// Of an opening bracket:
	generator bool // `for` stands directly inside
	colon     bool // ':' stands directly inside
	comma     bool
	empty     bool
	match     int // index of the closing bracket, 0 when there is none
}

// rewritten is text for Starlark's parser, with the offset of each byte's origin.
type rewritten struct {
	text   strings.Builder
	origin []int
}

func (w *rewritten) put(text string, at int) {
	w.text.WriteString(text)
	for range len(text) {
		w.origin = append(w.origin, at)
	}
}

// copied writes text that stands in the expression as it is.
func (w *rewritten) copied(text string, at int) {
	w.text.WriteString(text)
	for i := range len(text) {
		w.origin = append(w.origin, at+i)
	}
}

// rewrite makes an expression of Starlark out of one of Python.
func rewrite(text string, at int) (*rewritten, error) {
	tokens, err := scan(text, at)
	if err != nil {
		return nil, err
	}
	matchBrackets(tokens)
	for i := range tokens {
		if err := refuse(tokens, i); err != nil {
			return nil, place(tokens[i].at, err)
		}
	}
	w := &rewritten{}
	closing := map[int]string{}
	for i := 0; i < len(tokens); i++ {
		i = w.token(tokens, i, closing)
		w.put(" ", tokens[i].at+len(tokens[i].text))
	}
	return w, nil
}

// token writes one token, or several that belong together, and gives the index of
// the last one.
func (w *rewritten) token(tokens []token, i int, closing map[int]string) int {
	t := tokens[i]
	switch {
	case t.kind == tokenString:
		return w.strings(tokens, i)
	case t.text == "is" && next(tokens, i) == "not":
		w.put("!=", t.at)
		return i + 1
	case t.text == "is":
		w.put("==", t.at)
	case t.text == "<>":
		w.put("!=", t.at)
	case t.kind == tokenNumber:
		w.copied(strings.TrimRight(t.text, "lL"), t.at)
	case closing[i] != "":
		w.put(closing[i], t.at)
	case t.text == "(" && t.generator:
		w.put("([", t.at)
		closing[t.match] = "])"
	case t.text == "{" && t.match > 0 && !t.colon && !t.empty:
		w.put("set([", t.at)
		closing[t.match] = "])"
	default:
		w.copied(t.text, t.at)
	}
	return i
}

// strings writes neighbours as a sum, which Starlark wants to see written out.
func (w *rewritten) strings(tokens []token, i int) int {
	last := i
	for last+1 < len(tokens) && tokens[last+1].kind == tokenString {
		last++
	}
	if last > i {
		w.put("(", tokens[i].at)
	}
	for j := i; j <= last; j++ {
		if j > i {
			w.put("+", tokens[j].at)
		}
		quote := strings.IndexAny(tokens[j].text, `'"`)
		if strings.ContainsAny(tokens[j].text[:quote], "rR") {
			w.put("r", tokens[j].at)
		}
		w.copied(tokens[j].text[quote:], tokens[j].at+quote)
	}
	if last > i {
		w.put(")", tokens[last].at)
	}
	return last
}

func next(tokens []token, i int) string {
	if i+1 < len(tokens) && tokens[i+1].kind != tokenString {
		return tokens[i+1].text
	}
	return ""
}

// matchBrackets tells each opening bracket what stands directly inside it.
func matchBrackets(tokens []token) {
	var open []int
	lambdas := 0 // whose ':' is still to come
	for i := range tokens {
		t := &tokens[i]
		switch {
		case t.kind == tokenString || t.kind == tokenNumber:
		case strings.Contains("([{", t.text):
			open = append(open, i)
			t.empty = strings.Contains(")]}", next(tokens, i)) && next(tokens, i) != ""
		case strings.Contains(")]}", t.text):
			if len(open) > 0 {
				tokens[open[len(open)-1]].match = i
				open = open[:len(open)-1]
			}
		case t.text == "lambda":
			lambdas++
		case t.text == ":" && lambdas > 0:
			lambdas--
		case len(open) > 0:
			in := &tokens[open[len(open)-1]]
			in.colon = in.colon || t.text == ":"
			in.comma = in.comma || t.text == ","
			in.generator = in.generator || t.text == "for" && !in.comma
		}
	}
}

// scan cuts Python into tokens; space, line ends and comments go.
func scan(text string, at int) ([]token, error) {
	var tokens []token
	for i := 0; i < len(text); {
		var n int
		kind := tokenOther
		rest := text[i:]
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n\f", c) >= 0:
			i++
			continue
		case c == '\\' && strings.HasPrefix(strings.TrimLeft(rest[1:], " \t\r"), "\n"):
			i++
			continue
		case c == '#':
			i += len(rest[:indexOr(rest, "\n")])
			continue
		case stringPrefix(rest) >= 0:
			kind = tokenString
			if n = stringLen(rest); n < 0 {
				return nil, place(at+i, reasonf("the text that begins here does not end"))
			}
		case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
			n, kind = numberLen(rest), tokenNumber
		case c == '_' || c >= 0x80 || isLetter(c):
			n, kind = nameLen(rest), tokenName
		default:
			n = operatorLen(rest)
		}
		tokens = append(tokens, token{kind: kind, text: text[i : i+n], at: at + i})
		i += n
	}
	return tokens, nil
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func indexOr(s, sub string) int {
	if i := strings.Index(s, sub); i >= 0 {
		return i
	}
	return len(s)
}

// stringPrefix gives the length of a string's prefix letters, -1 when none begins here.
func stringPrefix(s string) int {
	for i := range min(3, len(s)) {
		switch {
		case s[i] == '\'' || s[i] == '"':
			return i
		case strings.IndexByte("rRuUbBfF", s[i]) < 0:
			return -1
		}
	}
	return -1
}

// stringLen gives the length of the string at the start of s, -1 when it does not end.
func stringLen(s string) int {
	i := stringPrefix(s)
	quote := s[i : i+1]
	if strings.HasPrefix(s[i:], strings.Repeat(quote, 3)) {
		quote = s[i : i+3]
	}
	for i += len(quote); i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote)
		case s[i] == '\n' && len(quote) == 1:
			return -1
		}
	}
	return -1
}

func nameLen(s string) int {
	return indexFunc(s, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func numberLen(s string) int {
	return indexFunc(s, func(r rune) bool { return r != '_' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func indexFunc(s string, f func(rune) bool) int {
	if i := strings.IndexFunc(s, f); i > 0 {
		return i
	} else if i == 0 {
		return firstLen(s)
	}
	return len(s)
}

// operators of more than one character that need care, longest first.
var operators = []string{"...", "**", "<>", "==", "!=", "<=", ">=", "<<", ">>", "//", ":=", "->", "&&", "||"}

func operatorLen(s string) int {
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			return len(op)
		}
	}
	return firstLen(s)
}

// firstLen is the length of the first character.
func firstLen(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}
