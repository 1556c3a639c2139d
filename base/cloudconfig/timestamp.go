package cloudconfig

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

var timestamp = regexp.MustCompile(`^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})` +
	`(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]*))?` +
	`(?:[ \t]*(Z|([-+])([0-9]{1,2})(?::([0-9]{2}))?))?)?$`)

// parseTime reads dates and times (yaml/constructor.py
// construct_yaml_timestamp, 6.0). What is no day or hour is an error, as
// Python's datetime makes it.
func parseTime(text string) (time.Time, timeForm, error) {
	m := timestamp.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, 0, fmt.Errorf("%q is no timestamp", text)
	}
	num := func(i int) int { v, _ := strconv.Atoi(m[i]); return v }
	form, zone := timeLocal, time.UTC
	switch {
	case m[4] == "":
		form = timeDate
	case m[9] != "":
		offset := num(10)*3600 + num(11)*60
		if offset >= 24*3600 {
			return time.Time{}, 0, errors.New("offset must be less than 24 hours")
		}
		if m[9] == "-" {
			offset = -offset
		}
		form, zone = timeOffset, time.FixedZone("", offset)
	case m[8] != "":
		form = timeOffset
	}
	fraction, _ := strconv.Atoi((m[7] + "000000")[:6])
	t := time.Date(num(1), time.Month(num(2)), num(3), num(4), num(5), num(6), fraction*1000, zone)
	if num(1) == 0 || t.Month() != time.Month(num(2)) || t.Day() != num(3) || num(4) > 23 || num(5) > 59 || num(6) > 59 {
		return time.Time{}, 0, fmt.Errorf("%q is not in the calendar", text)
	}
	return t, form, nil
}

// timeText is Python's str() of a date or datetime.
func (n *Node) timeText() string {
	if n.written == timeDate {
		return n.time.Format("2006-01-02")
	}
	layout := "2006-01-02 15:04:05"
	if n.time.Nanosecond() != 0 {
		layout += ".000000"
	}
	if n.written == timeOffset {
		layout += "-07:00"
	}
	return n.time.Format(layout)
}
