package netstate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// text takes a JSON string, or a number or boolean as its text, as documents
// of different clouds have them; null is empty.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(t))
	case b[0] == '{' || b[0] == '[':
		return fmt.Errorf("%.20s is no text", b)
	case string(b) == "null":
		*t = ""
	case string(b) == "true":
		*t = "on"
	case string(b) == "false":
		*t = "off"
	default:
		*t = text(b)
	}
	return nil
}

// number takes a JSON integer, or a string that is one; null is zero.
type number int

func (n *number) UnmarshalJSON(b []byte) error {
	s := string(bytes.Trim(b, `"`))
	if s == "null" || s == "" {
		*n = 0
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return fmt.Errorf("%.20s is no number", b)
	}
	*n = number(v)
	return nil
}

// names takes a list of strings, or one string as a list of one.
type names []string

func (n *names) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return json.Unmarshal(b, (*[]string)(n))
	}
	*n = names{""}
	return json.Unmarshal(b, &(*n)[0])
}
