package userdata

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Multipart writes parts as one MIME message, the form of user-data.txt.i
// (user_data.py UserDataProcessor.process, 22.4). It depends on nothing but
// the parts: the boundary is made from their content. [Parse] gives the parts
// back, archives and includes among them taken apart. A body that is not text
// is written in base64.
func Multipart(parts []Part) []byte {
	hash := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(hash, "%d ", len(p.Body))
		hash.Write(p.Body)
	}
	boundary := fmt.Sprintf("===============%019d==", binary.BigEndian.Uint64(hash.Sum(nil))>>1)

	var out bytes.Buffer
	fmt.Fprintf(&out, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\nNumber-Attachments: %d\n\n", boundary, len(parts))
	for _, p := range parts {
		fmt.Fprintf(&out, "--%s\n", boundary)
		p.write(&out)
		out.WriteByte('\n')
	}
	fmt.Fprintf(&out, "--%s--\n", boundary)
	return out.Bytes()
}

func (p *Part) write(out *bytes.Buffer) {
	fmt.Fprintf(out, "MIME-Version: 1.0\nContent-Type: %s\n", field(p.Type))
	if p.Filename != "" {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.Filename)
		fmt.Fprintf(out, "Content-Disposition: attachment; filename=\"%s\"\n", field(quoted))
	}
	for _, h := range p.Headers {
		switch strings.ToLower(h.Name) {
		case "content-type", "content-disposition", "content-transfer-encoding", "mime-version", "launch-index":
		default:
			if h.Name != "" && fieldName(h.Name) {
				fmt.Fprintf(out, "%s: %s\n", strings.ReplaceAll(h.Name, ":", ""), field(h.Value))
			}
		}
	}
	if p.LaunchIndex >= 0 {
		fmt.Fprintf(out, "Launch-Index: %s\n", strconv.Itoa(p.LaunchIndex))
	}
	if utf8.Valid(p.Body) && !bytes.HasSuffix(p.Body, []byte("\r")) { // CR and the boundary's LF would make one line end
		out.WriteByte('\n')
		out.Write(p.Body)
		return
	}
	out.WriteString("Content-Transfer-Encoding: base64\n\n")
	for text := base64.StdEncoding.EncodeToString(p.Body); text != ""; {
		n := min(76, len(text))
		out.WriteString(text[:n])
		out.WriteByte('\n')
		text = text[n:]
	}
}

// field is s without what would end a header line.
func field(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
