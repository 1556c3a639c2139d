package metadataagent

import "testing"

func TestPreferred(t *testing.T) {
	for accept, want := range map[string]string{
		"": "", "text/plain": "", "*/*": "text/html", "text/*": "text/html", "application/json": "application/json",
		"text/html;q=0.5, application/json": "application/json", "application/json, */*;q=0.1": "application/json",
		"text/html;q=0, */*": "application/json", "TEXT/HTML": "text/html", "text/html;q=x": "", "*/*;q=0": "",
		"application/*, text/html": "text/html",
	} {
		if got := preferred(accept); got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
}

func FuzzPreferred(f *testing.F) {
	f.Add("text/html;q=0.5, application/json, */*;q=0")
	f.Add(",;,;q=,=")
	f.Fuzz(func(t *testing.T, accept string) {
		if got := preferred(accept); got != "" && got != "text/html" && got != "application/json" {
			t.Errorf("%q: %q", accept, got)
		}
	})
}
