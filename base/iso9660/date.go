package iso9660

import (
	"fmt"
	"strconv"
	"time"
)

// checkDate says whether both forms of a date can carry t.
func checkDate(t time.Time) error {
	if y := t.UTC().Year(); !t.IsZero() && (y < 1900 || y > 2155) {
		return fmt.Errorf("year %d is outside 1900 to 2155", y)
	}
	return nil
}

// appendDate adds the seven bytes of a record's date (9.1.5), in UTC. All
// zeros mean that it is not said.
func appendDate(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0, 0, 0, 0, 0, 0, 0)
	}
	t = t.UTC()
	return append(b, byte(t.Year()-1900), byte(t.Month()), byte(t.Day()),
		byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0)
}

// parseDate reads seven bytes of appendDate. Nonsense is no date: tools of the
// past wrote a lot of it, and nothing hangs on it.
func parseDate(b []byte) time.Time {
	return date(1900+int(b[0]), int(b[1]), int(b[2]), int(b[3]), int(b[4]), int(b[5]), 0, b[6])
}

// putLongDate writes the 17 bytes of a descriptor's date (8.4.26.1): digits up
// to the hundredth of a second, and the offset. Digits of zero: not said.
func putLongDate(b []byte, t time.Time) {
	copy(b, "0000000000000000\x00")
	if !t.IsZero() {
		t = t.UTC()
		copy(b, t.Format("20060102150405"))
		copy(b[14:], fmt.Sprintf("%02d", t.Nanosecond()/1e7))
	}
}

// parseLongDate reads 17 bytes of putLongDate.
func parseLongDate(b []byte) time.Time {
	var n [7]int
	at := 0
	for i, digits := range []int{4, 2, 2, 2, 2, 2, 2} {
		v, err := strconv.ParseUint(string(b[at:at+digits]), 10, 16)
		if err != nil {
			return time.Time{}
		}
		n[i], at = int(v), at+digits
	}
	return date(n[0], n[1], n[2], n[3], n[4], n[5], n[6], b[16])
}

// date puts a date together; zone counts quarters of an hour east of Greenwich.
func date(year, month, day, hour, minute, second, hundredths int, zone byte) time.Time {
	offset := int(int8(zone))
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59 ||
		offset < -48 || offset > 52 {
		return time.Time{}
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, hundredths*1e7, time.UTC)
	return t.Add(-time.Duration(offset) * 15 * time.Minute)
}
