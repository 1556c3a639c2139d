package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"imprint/base/userdata"
)

// mimeTypes are the content types that parts may have.
func mimeTypes() []string {
	types := []string{userdata.TypeBoothook, userdata.TypeCloudConfig, userdata.TypeArchive, userdata.TypeCloudConfigJSONP, userdata.TypeJinja,
		userdata.TypePartHandler, userdata.TypeIncludeOnce, userdata.TypeInclude, userdata.TypeScript, userdata.TypeScriptPerBoot,
		userdata.TypeScriptPerInst, userdata.TypeScriptPerOnce}
	slices.Sort(types)
	return types
}

func (p *program) makeMIMECommand() *command {
	var files []string
	var list, force bool
	return &command{
		name:    "make-mime",
		summary: "Create multi-part mime user-data.",
		about:   "Generate multi-part mime messages for user-data.\n\nExample: make-mime -a config.yaml:cloud-config -a script.sh:x-shellscript > user-data",
		options: []option{
			{names: []string{"-a", "--attach"}, meta: "<file>:<content-type>", values: &files, help: "attach the given file as the specified content-type"},
			{names: []string{"-l", "--list-types"}, flag: &list, help: "List support cloud-init content types."},
			{names: []string{"-f", "--force"}, flag: &force, help: "Ignore unknown content-type warnings"},
		},
		run: func() int {
			if list {
				for _, t := range mimeTypes() {
					fmt.Fprintln(p.out, strings.TrimPrefix(t, "text/"))
				}
				return exitOK
			}
			return p.makeMIME(files, force)
		},
	}
}

// makeMIME prints files as one multipart message, in Python's form.
// cloud-init: cmd/devel/make_mime.py.
func (p *program) makeMIME(files []string, force bool) int {
	mark := boundary()
	var body strings.Builder
	var doubts []string
	for i, f := range files {
		name, kind, ok := strings.Cut(f, ":")
		if !ok {
			return p.fail(fmt.Errorf("Invalid value for '%s'", f)) //lint:ignore ST1005 cloud-init's words
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return p.fail(err)
		}
		if !utf8.Valid(data) {
			return p.fail(fmt.Errorf("%s is no UTF-8 text", name))
		}
		full := "text/" + strings.TrimSpace(kind)
		if !slices.Contains(mimeTypes(), strings.ToLower(full)) {
			doubts = append(doubts, fmt.Sprintf("content type '%s' for attachment %d may be incorrect!", full, i+1))
		}
		fmt.Fprintf(&body, "--%s\nContent-Type: %s; charset=\"utf-8\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64\n"+
			"Content-Disposition: attachment; filename=\"%s\"\n\n%s\n", mark, full, name, lines76(data))
	}
	if len(doubts) > 0 {
		level := "ERROR"
		if force {
			level = "WARNING"
		}
		fmt.Fprintf(p.err, "%s: %s\nInvalid content-types, override with --force\n", level, strings.Join(doubts, "\n"))
		if !force {
			return exitFailed
		}
	}
	fmt.Fprintf(p.out, "Content-Type: multipart/mixed; boundary=\"%s\"\nMIME-Version: 1.0\n\n%s--%[1]s--\n\n", mark, body.String())
	return exitOK
}

// boundary is one of Python's: 19 digits between equals signs.
func boundary() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it does not fail (crypto/rand)
	return fmt.Sprintf("===============%019d==", binary.BigEndian.Uint64(b[:])>>1)
}

// lines76 is base64 in lines of 76 characters.
func lines76(data []byte) string {
	text := base64.StdEncoding.EncodeToString(data)
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	return b.String() + text + "\n"
}
