package userdata

import "testing"

func FuzzParse(f *testing.F) {
	cases := goldenCases(f)
	if len(cases) < 50 {
		f.Fatalf("%d golden cases", len(cases))
	}
	for _, g := range cases {
		f.Add(g.Input)
	}
	f.Add([]byte("## template: jinja\n#cloud-config\na: {{ v1.x }}\n"))
	f.Add([]byte(mixed("Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n#86)C\n \nend\n", "\n## template: jinja\n#!{% if 1 %}")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fetches := 0
		opts := Options{MaxSize: 1 << 16, MaxParts: 20, MaxDepth: 4, Fetch: func(Include) ([]byte, error) {
			fetches++
			return raw, nil
		}}
		parts, problems := Parse(raw, opts)
		size := 0
		for _, p := range parts {
			size += len(p.Body)
			if p.Type == "" || p.LaunchIndex < -1 {
				t.Errorf("part %+v", p)
			}
			CleanFilename(p.Filename)
			if p.Line < 1 {
				t.Errorf("part %s at line %d", p.Filename, p.Line)
			}
			if r, problems, ok := Render(p, nil); ok == (len(r.Type) == 0) || len(problems) > 2 {
				t.Errorf("rendered %+v, %v", r, problems)
			}
		}
		if size > opts.MaxSize || len(parts) > opts.MaxParts || fetches > opts.MaxParts || len(problems) > 4*opts.MaxParts {
			t.Errorf("%d bytes, %d parts, %d fetches, %d problems", size, len(parts), fetches, len(problems))
		}
		Multipart(parts)
	})
}
