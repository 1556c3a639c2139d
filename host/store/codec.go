package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sync"

	"imprint/host/cloud"
)

// codec turns records into values and back: secret fields are sealed, fields
// that this program does not know are kept aside. Safe for concurrent use.
type codec struct {
	seal *sealer // nil: it only decodes, and secret fields come out empty

	mu     sync.Mutex
	fields map[reflect.Type]fieldSet
}

type object = map[string]json.RawMessage

func newCodec(s *sealer) *codec { return &codec{seal: s, fields: map[reflect.Type]fieldSet{}} }

// secretFields lists the fields of a kind that are sealed; their JSON is text.
func secretFields(k cloud.RecordKind) []string {
	if k == cloud.KindUser {
		return []string{"password_hash"}
	}
	return nil
}

// encode returns the value of r with the unknown fields of its stored version.
func (c *codec) encode(r cloud.Record, extra json.RawMessage) ([]byte, error) {
	key := keyOf(r)
	value, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", key, err)
	}
	secrets := secretFields(r.Kind())
	if len(secrets) == 0 && extra == nil {
		return value, nil
	}
	var fields object
	if err := json.Unmarshal(value, &fields); err != nil {
		return nil, fmt.Errorf("encode %s: %w", key, err)
	}
	for _, name := range secrets {
		if err := c.sealField(fields, key, name); err != nil {
			return nil, fmt.Errorf("encode %s: %w", key, err)
		}
	}
	if extra != nil {
		if err := c.merge(reflect.TypeOf(r), fields, extra); err != nil {
			return nil, fmt.Errorf("encode %s: %w", key, err)
		}
	}
	return json.Marshal(fields)
}

// decode is the inverse of encode. Errors name the key.
func (c *codec) decode(kv KV, kind cloud.RecordKind, id string) (cloud.Record, json.RawMessage, error) {
	var fields object
	if err := json.Unmarshal(kv.Value, &fields); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", kv.Key, err)
	}
	value := kv.Value
	if secrets := secretFields(kind); len(secrets) > 0 {
		for _, name := range secrets {
			if err := c.openField(fields, kv.Key, name); err != nil {
				return nil, nil, fmt.Errorf("read %s: %w", kv.Key, err)
			}
		}
		var err error
		if value, err = json.Marshal(fields); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
	}
	record := cloud.NewRecord(kind)
	if err := json.Unmarshal(value, record); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", kv.Key, err)
	}
	if record.ID() != id {
		return nil, nil, fmt.Errorf("read %s: the value is that of %s %q", kv.Key, kind, record.ID())
	}
	record.Head().Revision = kv.Revision
	extra, err := c.unknown(reflect.TypeOf(record), fields)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", kv.Key, err)
	}
	return record, extra, nil
}

func (c *codec) sealField(fields object, key, name string) error {
	var plain string
	if err := json.Unmarshal(fields[name], &plain); err != nil {
		return fmt.Errorf("secret field %s: %w", name, err)
	}
	sealed, err := json.Marshal(c.seal.seal(key+"#"+name, plain))
	fields[name] = sealed
	return err
}

func (c *codec) openField(fields object, key, name string) error {
	if c.seal == nil {
		fields[name] = json.RawMessage(`""`)
		return nil
	}
	var sealed string
	if err := json.Unmarshal(fields[name], &sealed); err != nil {
		return fmt.Errorf("secret field %s: %w", name, err)
	}
	plain, err := c.seal.open(key+"#"+name, sealed)
	if err != nil {
		return fmt.Errorf("secret field %s: %w", name, err)
	}
	fields[name], err = json.Marshal(plain)
	return err
}
