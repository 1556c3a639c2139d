package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reload returns the configuration to go on with when the file changed from old
// to new: new itself, or an error that names the first changed key that only a
// restart can take. Then nothing of new is to be used.
func Reload(old, new Config) (Config, error) {
	var fixed []string
	each(reflect.ValueOf(old), reflect.ValueOf(new), "", func(key string, f reflect.StructField, a, b reflect.Value) {
		if f.Tag.Get("reload") != "yes" && !reflect.DeepEqual(a.Interface(), b.Interface()) {
			fixed = append(fixed, key)
		}
	})
	if len(fixed) > 0 {
		return old, fmt.Errorf("%s: cannot change without a restart", strings.Join(fixed, ", "))
	}
	return new, nil
}

// each visits the keys of two configurations side by side.
func each(a, b reflect.Value, prefix string, visit func(key string, f reflect.StructField, a, b reflect.Value)) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		key := prefix + f.Tag.Get("yaml")
		if f.Type.Kind() == reflect.Struct {
			each(a.Field(i), b.Field(i), key+".", visit)
			continue
		}
		visit(key, f, a.Field(i), b.Field(i))
	}
}
