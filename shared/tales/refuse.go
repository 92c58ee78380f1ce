package tales

import "strings"

// statements are words of Python that stand in no expression.
const statements = " assert async await break class continue def del elif except exec finally from global import " +
	"load nonlocal pass raise return try while with yield "

// advised are operators that Python has not, or Starlark has not.
var advised = map[string]string{
	"`":   "write repr(x) for `x`",
	"&&":  "write and for &&",
	"||":  "write or for ||",
	"!":   "write not for !",
	":=":  "a name cannot be given to a value here; write the value where it is used",
	"=":   "write == to compare",
	";":   "an expression is one value; only one can stand here",
	"@":   "there is no @ here",
	"...": "there is no ... here",
	"->":  "there is no -> here",
	"$":   "write ${…} in string: expressions only",
	"?":   "write x if condition else y",
	"**":  "there is no power; multiply",
}

// refuse gives advice for what cannot be written anew.
func refuse(tokens []token, i int) error {
	t := tokens[i]
	switch t.kind {
	case tokenName:
		if strings.Contains(statements, " "+t.text+" ") {
			return reasonf("%s is a statement; an expression is one value, such as object.review_state == 'published'", t.text)
		}
	case tokenString:
		if strings.ContainsAny(t.text[:stringPrefix(t.text)], "fF") {
			return reasonf("there are no f-strings; write 'a %%s' %% x, or 'a {}'.format(x)")
		}
	case tokenNumber:
		if len(t.text) > 1 && t.text[0] == '0' && isDigit(t.text[1]) && !strings.ContainsAny(t.text, ".eE") {
			return reasonf("the number %s begins with 0; for octal write 0o%s", t.text, strings.TrimLeft(t.text, "0"))
		}
	case tokenOther:
		return refuseOperator(tokens, i)
	}
	return nil
}

func refuseOperator(tokens []token, i int) error {
	text := tokens[i].text
	before := ""
	if i > 0 {
		before = tokens[i-1].text
	}
	switch {
	case text == "=" && insideCall(tokens, i):
		return nil
	case text == "**" && (before == "(" || before == ","):
		return reasonf("arguments with ** cannot be given; write them out")
	}
	if advice, ok := advised[text]; ok {
		return reasonf("%s", advice)
	}
	return nil
}

// insideCall tells whether a bracket is open at i, or a lambda: there, '=' is no
// mistake.
func insideCall(tokens []token, i int) bool {
	for j := i - 1; j >= 0; j-- {
		if tokens[j].text == "(" && tokens[j].match > i || tokens[j].text == "lambda" {
			return true
		}
	}
	return false
}

// advice turns what Starlark's parser says into what to write.
func advice(message string) string {
	switch {
	case strings.Contains(message, "does not associate with"):
		return "comparisons cannot be chained; write a < b and b < c for a < b < c"
	case strings.Contains(message, "got end of file"):
		return "the expression is not complete: something must follow"
	case strings.Contains(message, "invalid escape sequence"):
		return message + "; write r'…' for a text with backslashes"
	}
	return message
}
