package jinja

// kind of a token.
type kind uint8

const (
	tokEOF kind = iota
	tokData
	tokVarBegin
	tokVarEnd
	tokBlockBegin
	tokBlockEnd
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
)

// token is a piece of a template; text is a string's value, without quotes.
type token struct {
	kind kind
	text string
	line int
}

func (t token) is(op string) bool  { return t.kind == tokOp && t.text == op }
func (t token) name(n string) bool { return t.kind == tokName && t.text == n }
func (t token) describe() string {
	switch t.kind {
	case tokEOF:
		return "end of template"
	case tokData:
		return "template data"
	case tokVarBegin:
		return "begin of print statement"
	case tokVarEnd:
		return "end of print statement"
	case tokBlockBegin:
		return "begin of statement block"
	case tokBlockEnd:
		return "end of statement block"
	}
	return t.text
}
