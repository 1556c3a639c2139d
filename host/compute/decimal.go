package compute

import "strconv"

// decimal is a number that is shown with a decimal point, as Python shows a
// float.
type decimal float64

// MarshalJSON encodes 1 as 1.0.
func (d decimal) MarshalJSON() ([]byte, error) {
	f := float64(d)
	if f == float64(int64(f)) {
		return strconv.AppendFloat(nil, f, 'f', 1, 64), nil
	}
	return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
}
