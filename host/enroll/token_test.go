package enroll

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTokenIsHidden(t *testing.T) {
	token := newToken(pin{1, 2, 3})
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", token, "in", []any{token})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", token, "in", []any{token})
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&log, form, token)
		fmt.Fprintf(&log, form, struct{ T Token }{token})
	}
	text := token.Text()
	for _, secret := range []string{text, text[len(tokenPrefix) : len(tokenPrefix)+20], fmt.Sprintf("%x", token.secret[:4]), fmt.Sprint(token.secret[:4])} {
		if strings.Contains(log.String(), strings.Trim(secret, "[]")) {
			t.Errorf("%s is in %s", secret, log.String())
		}
	}
}

func TestParseToken(t *testing.T) {
	token := newToken(pin{1, 2, 3})
	text := token.Text()
	if len(text) != 95 {
		t.Errorf("%d characters", len(text))
	}
	if got, err := ParseToken("\n " + text + "\r\n"); got != token || err != nil {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", tokenPrefix, text[1:], text[:len(text)-1], text + "A", strings.ToUpper(text),
		text[:50] + "\n" + text[50:len(text)-1], text[:50] + "*" + text[51:], text[:len(text)-1] + "_"} {
		if _, err := ParseToken(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		} else if len(bad) > 20 && strings.Contains(err.Error(), bad[10:20]) {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(newToken(pin{1}).Text())
	f.Add(tokenPrefix)
	f.Add(" " + newToken(pin{2}).Text() + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err == nil && token.Text() != strings.TrimSpace(text) {
			t.Errorf("%q is read as %q", text, token.Text())
		}
	})
}
