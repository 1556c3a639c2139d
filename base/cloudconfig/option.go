package cloudconfig

// Bool is an option that may be left out. The zero value is [Unset].
type Bool int8

// The states of a [Bool].
const (
	Unset Bool = 0
	True  Bool = 1
	False Bool = -1
)

// Or is the option's value, def when it is unset.
func (b Bool) Or(def bool) bool {
	if b == Unset {
		return def
	}
	return b == True
}

// Bool is the option key of the map n: unset when missing, false when null
// (cloudinit/util.py get_cfg_option_bool, 22.4), an error where
// [Node.AsBool] fails, and then false.
func (n *Node) Bool(key string) (Bool, error) {
	v := n.child(key)
	if v == nil {
		return Unset, nil
	}
	if v.IsNull() {
		return False, nil
	}
	b, err := v.AsBool()
	if b {
		return True, err
	}
	return False, err
}

// Text is the option key of the map n as [Node.AsString], "" when missing or
// null.
func (n *Node) Text(key string) (string, error) {
	v := n.child(key)
	if v.IsNull() {
		return "", nil
	}
	return v.AsString()
}

// Strings is the option key of the map n as [Node.AsStrings].
func (n *Node) Strings(key string) ([]string, error) { return n.child(key).AsStrings() }
