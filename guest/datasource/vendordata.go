package datasource

import (
	"encoding/json"
	"fmt"

	"imprint/base/cloudconfig"
)

// vendorData takes user data's form out of a vendor data document. One that
// makes no sense is a problem of the cloud's and must not harm the user.
func (i *Instance) vendorData(name string, docs map[string][]byte) []byte {
	doc, ok := docs[name]
	if !ok {
		return nil
	}
	n, err := parseJSON(doc)
	if err != nil {
		i.Problems = append(i.Problems, fmt.Sprintf("%s: %v", name, err))
		return nil
	}
	if n.Kind == cloudconfig.KindMap {
		n = n.Get("cloud-init")
	}
	data, err := asUserData(n)
	if err != nil {
		i.Problems = append(i.Problems, fmt.Sprintf("%s: %v", name, err))
	}
	return data
}

// asUserData takes text as it is; a list is many parts, for which there is the
// archive format. cloud-init 22.4: sources/__init__.py, convert_vendordata.
func asUserData(n *cloudconfig.Node) ([]byte, error) {
	switch {
	case n.IsNull():
		return nil, nil
	case n.Kind == cloudconfig.KindString:
		return []byte(n.String()), nil
	case n.Kind == cloudconfig.KindList && len(n.Items()) == 0:
		return nil, nil
	case n.Kind == cloudconfig.KindList:
		b, err := json.Marshal(n)
		return append([]byte("#cloud-config-archive\n"), b...), err
	}
	return nil, fmt.Errorf("cloud-init is neither text nor a list")
}
