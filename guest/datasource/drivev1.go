package datasource

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"imprint/base/cloudconfig"
)

// defaultDriveID is the id of an instance whose drive tells none: those of
// version 1 can only be given one by the user.
const defaultDriveID = "iid-dsconfigdrive"

// driveV1 takes over a drive in the form that Nova wrote before 2012: what the
// user said in meta.js, injected keys, and a network configuration. dsmode is
// the user's.
//
// Departing from cloud-init 22.4, which reads the network configuration but
// never uses it, it is used as its documentation says.
func (i *Instance) driveV1(t tree) (dsmode string, err error) {
	docs := map[string][]byte{}
	for _, name := range []string{"etc/network/interfaces", "meta.js", "root/.ssh/authorized_keys"} {
		body, err := t.ReadFile(name)
		switch {
		case err == nil:
			docs[name] = body
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("read %s: %w", name, err)
		}
	}
	if len(docs) == 0 {
		return "", errNoDocuments
	}
	js := cloudconfig.NewMap()
	if doc, ok := docs["meta.js"]; ok {
		if js, err = parseJSON(doc); err == nil && js.Kind != cloudconfig.KindMap {
			err = errors.New("is no object")
		}
		if err != nil {
			return "", fmt.Errorf("meta.js: %w", err)
		}
	}
	if i.InstanceID = text(js, "instance-id"); i.InstanceID == "" {
		i.InstanceID = defaultDriveID
	}
	if !validID(i.InstanceID) {
		return "", fmt.Errorf("meta.js: instance-id %.60q", i.InstanceID)
	}
	i.MetaData = js.With("instance-id", cloudconfig.NewString(i.InstanceID))
	keys := text(js, "public-keys")
	if keys == "" {
		keys = string(docs["root/.ssh/authorized_keys"])
	}
	i.keyLines(keys)
	i.UserData = []byte(text(js, "user-data"))
	i.Interfaces = docs["etc/network/interfaces"]
	return text(js, "dsmode"), nil
}

// keyLines takes over an authorized_keys file, without its comments.
func (i *Instance) keyLines(file string) {
	for line := range strings.Lines(file) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			i.PublicKeys = append(i.PublicKeys, line)
		}
	}
}
