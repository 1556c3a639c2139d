package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imprint/base/rootfs"
	"imprint/guest/clouddir"
)

func queryCommand(dir *string) *cobra.Command {
	var list, all bool
	cmd := &cobra.Command{
		Use:   "query [KEY]",
		Short: "Print instance data",
		Long: `Prints what is known of the instance, as JSON or, for a string, as it is.
KEY is a path with dots, such as v1.local_hostname or ds.meta_data.uuid; the
keys of v1 stand at the top too. Hyphens in keys may be written as underscores.

Exit status: 0 printed, 1 there is no such key or no data.`,
		Example: "  cloud-init query v1.local_hostname\n  cloud-init query --list-keys v1\n  cloud-init query userdata",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("unexpected argument %q", args[1])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !list && !all {
				return usageError{errors.New("expected one of --all, --list-keys or a key")}
			}
			root, err := rootfs.Open(*dir)
			if err != nil {
				return err
			}
			defer root.Close()
			data, err := readInstanceData(root)
			if err != nil {
				return err
			}
			var value any = data
			if len(args) == 1 {
				if value, err = lookUp(data, args[0]); err != nil {
					return err
				}
			}
			if list {
				return printKeys(cmd.OutOrStdout(), value)
			}
			return printValue(cmd.OutOrStdout(), value)
		},
	}
	cmd.Flags().BoolVarP(&list, "list-keys", "l", false, "print the keys instead of the values")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "print everything")
	return cmd
}

// readInstanceData reads the instance data of this boot. What is below v1
// stands at the top too; userdata and vendordata are added.
func readInstanceData(root *rootfs.Root) (map[string]any, error) {
	isRoot := os.Getuid() == 0
	state := clouddir.New(root, nil)
	text, err := state.InstanceData(isRoot)
	if err != nil {
		return nil, err
	}
	var data map[string]any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&data); err != nil {
		return nil, fmt.Errorf("read instance data: %w", err)
	}
	if v1, ok := data["v1"].(map[string]any); ok {
		maps.Copy(data, v1)
	}
	for key, file := range map[string]string{"userdata": "user-data.txt", "vendordata": "vendor-data.txt"} {
		data[key] = "<" + clouddir.Redacted + "> file:" + clouddir.InstanceLink + "/" + file
		if isRoot {
			raw, err := state.ReadInstance(file)
			if err == nil {
				data[key] = string(raw)
			}
		}
	}
	return data, nil
}

// lookUp follows a path with dots.
func lookUp(data map[string]any, path string) (any, error) {
	var value any = data
	walked := ""
	for part := range strings.SplitSeq(path, ".") {
		next, ok := child(value, part)
		switch {
		case !ok && walked == "":
			//lint:ignore ST1005 cloud-init's words
			return nil, fmt.Errorf("Undefined instance-data key '%s'", path)
		case !ok:
			return nil, fmt.Errorf("instance-data '%s' has no '%s'", walked, part)
		}
		value = next
		walked = strings.TrimPrefix(walked+"."+part, ".")
	}
	return value, nil
}

func child(value any, key string) (any, bool) {
	m, _ := value.(map[string]any)
	if v, ok := m[key]; ok {
		return v, true
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if strings.ReplaceAll(k, "-", "_") == key {
			return m[k], true
		}
	}
	return nil, false
}

func printKeys(out io.Writer, value any) error {
	m, ok := value.(map[string]any)
	if !ok {
		return errors.New("--list-keys provided but the value is no map")
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if _, err := fmt.Fprintln(out, k); err != nil {
			return err
		}
	}
	return nil
}

func printValue(out io.Writer, value any) error {
	if s, ok := value.(string); ok {
		_, err := fmt.Fprintln(out, s)
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(value)
}
