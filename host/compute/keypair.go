package compute

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// maxKeyPairs bounds a user's key pairs. nova: quota key_pairs, 26.2.2.
const maxKeyPairs = 100

// Names of key pairs, by microversion. nova: api/validation/validators.py.
var (
	keyName   = regexp.MustCompile(`^[A-Za-z0-9_ -]+$`)
	keyName92 = regexp.MustCompile(`^[A-Za-z0-9_ @.-]+$`)
)

// keyOwner returns whose key pairs a request is about: another user's only for
// administrators, from 2.10.
func keyOwner(req *api.Request, asked string) (cloud.UserID, error) {
	if asked == "" || !req.Version.AtLeast(2, 10) || cloud.UserID(asked) == req.Caller.UserID {
		return req.Caller.UserID, nil
	}
	return cloud.UserID(asked), admin(req, "os_compute_api:os-keypairs")
}

func queryOwner(req *api.Request) (cloud.UserID, error) {
	asked, _ := req.Query("user_id")
	return keyOwner(req, asked)
}

// readKeyPair reads a key pair to be made; no public key asks for a new one.
func readKeyPair(req *api.Request) (*cloud.KeyPair, error) {
	o, err := req.Object("keypair")
	if err != nil {
		return nil, err
	}
	o.Require("name")
	k := &cloud.KeyPair{Name: o.Name("name", 255), Type: "ssh"}
	form := keyName
	if req.Version.AtLeast(2, 92) {
		form = keyName92
		o.Require("public_key")
	}
	if k.Name != "" && !form.MatchString(k.Name) {
		o.Fail("name", "Keypair name contains unsafe characters.")
	}
	k.PublicKey = o.Multiline("public_key", 1, maxPublicKey)
	if req.Version.AtLeast(2, 2) && o.Enum("type", "ssh", "x509") == "x509" {
		o.Fail("type", "Key pairs of type x509 are not supported.")
	}
	asked := ""
	if req.Version.AtLeast(2, 10) {
		asked = o.Text("user_id", 0, 64)
	}
	if err := o.Err(); err != nil {
		return nil, err
	}
	k.UserID, err = keyOwner(req, asked)
	return k, err
}

func (r *Role) createKeyPair(req *api.Request) (api.Response, error) {
	k, err := readKeyPair(req)
	if err != nil {
		return api.Response{}, err
	}
	private := ""
	if k.PublicKey == "" {
		if k.PublicKey, private, err = newKey(); err != nil {
			return api.Response{}, err
		}
	}
	if k.Fingerprint, err = fingerprint(k.PublicKey); err != nil {
		return api.Response{}, err
	}
	if err := r.addKeyPair(req, k); err != nil {
		return api.Response{}, err
	}
	status := http.StatusCreated
	if !req.Version.AtLeast(2, 2) {
		status = http.StatusOK
	}
	d := keyPairSummary(req, k)
	if private != "" {
		d = append(d, api.Field{Name: "private_key", Value: private})
	}
	return api.Answer(status, api.Document{{Name: "keypair", Value: append(d, api.Field{Name: "user_id", Value: k.UserID})}})
}

func (r *Role) addKeyPair(req *api.Request, k *cloud.KeyPair) error {
	free := func(m *cloud.Model) error {
		if m.KeyPairs[k.ID()] != nil {
			return cloud.Errorf(cloud.Conflict, "Key pair '%s' already exists.", k.Name)
		}
		if len(keyPairsOf(m, k.UserID)) >= maxKeyPairs {
			return cloud.Errorf(cloud.Forbidden, "Quota exceeded, too many key pairs.")
		}
		return nil
	}
	var err error
	if r.store.View(func(m *cloud.Model) { err = free(m) }); err != nil {
		return err
	}
	if k.Number, err = r.store.NextNumber(req.Context(), "keypair"); err != nil {
		return err
	}
	return r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		return cloud.Txn{Put: []cloud.Record{k}}, free(m)
	})
}

// keyPairsOf returns a user's key pairs in the order of their names.
func keyPairsOf(m *cloud.Model, u cloud.UserID) []*cloud.KeyPair {
	var out []*cloud.KeyPair
	for _, k := range m.KeyPairs {
		if k.UserID == u {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *cloud.KeyPair) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func keyPairSummary(req *api.Request, k *cloud.KeyPair) api.Document {
	d := api.Document{{Name: "name", Value: k.Name}, {Name: "public_key", Value: k.PublicKey}, {Name: "fingerprint", Value: k.Fingerprint}}
	if req.Version.AtLeast(2, 2) {
		d = append(d, api.Field{Name: "type", Value: k.Type})
	}
	return d
}

func (r *Role) listKeyPairs(req *api.Request) (api.Response, error) {
	owner, err := queryOwner(req)
	if err != nil {
		return api.Response{}, err
	}
	var keys []*cloud.KeyPair
	r.store.View(func(m *cloud.Model) { keys = keyPairsOf(m, owner) })
	more := false
	if req.Version.AtLeast(2, 35) {
		page, err := req.Page()
		if err != nil {
			return api.Response{}, err
		}
		if keys, more, err = api.Cut(keys, func(k *cloud.KeyPair) string { return k.Name }, page, maxPage); err != nil {
			return api.Response{}, err
		}
	}
	list := []api.Document{}
	for _, k := range keys {
		list = append(list, api.Document{{Name: "keypair", Value: keyPairSummary(req, k)}})
	}
	d := api.Document{{Name: "keypairs", Value: list}}
	if more {
		d = append(d, next(req, "keypairs", "/v2.1/os-keypairs", keys[len(keys)-1].Name))
	}
	return api.OK(d)
}

// keyPair returns the key pair that a request names.
func keyPair(m *cloud.Model, req *api.Request) (*cloud.KeyPair, error) {
	owner, err := queryOwner(req)
	if err != nil {
		return nil, err
	}
	name := req.PathValue("name")
	k := m.KeyPairs[cloud.KeyPairID(owner, name)]
	if k == nil {
		return nil, cloud.Errorf(cloud.NotFound, "Keypair %.255s not found for user %s", name, owner)
	}
	return k, nil
}

func (r *Role) showKeyPair(req *api.Request) (api.Response, error) {
	var k *cloud.KeyPair
	var err error
	r.store.View(func(m *cloud.Model) { k, err = keyPair(m, req) })
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.Document{{Name: "keypair", Value: append(keyPairSummary(req, k), api.Document{
		{Name: "user_id", Value: k.UserID}, {Name: "created_at", Value: k.CreatedAt.Format(microTime)}, {Name: "deleted", Value: false},
		{Name: "deleted_at", Value: nil}, {Name: "id", Value: k.Number}, {Name: "updated_at", Value: nil}}...)}})
}

func (r *Role) deleteKeyPair(req *api.Request) (api.Response, error) {
	err := r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		k, err := keyPair(m, req)
		if err != nil {
			return cloud.Txn{}, err
		}
		return cloud.Txn{Delete: []cloud.Record{k}}, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	if !req.Version.AtLeast(2, 2) {
		return api.Done(http.StatusAccepted)
	}
	return api.Done(http.StatusNoContent)
}
