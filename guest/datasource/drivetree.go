package datasource

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"imprint/base/cloudconfig"
)

// tree is what is in a drive. Names are relative, as of [fs.ValidPath].
type tree interface {
	// ReadFile returns a regular file of at most maxDocument bytes.
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) ([]fs.DirEntry, error)
}

// Bounds of what a drive may inject; Nova's own are 5 files of 10 KiB, if they
// were not raised.
const (
	maxFiles    = 1024
	maxInjected = 64 << 20
)

// errNoDocuments says that a drive is not of the version looked for.
var errNoDocuments = errors.New("there is no meta_data.json of a version that is known, nor a drive of version 1")

// driveV2 takes over the documents of the newest version that is known, the
// files to inject and the network configuration. dsmode is what the user said.
// Any document that is there but cannot be read is an error: the instance would
// be set up, once and for all, without it.
func (i *Instance) driveV2(t tree) (dsmode string, err error) {
	var versions []string
	entries, _ := t.ReadDir("openstack")
	for _, e := range entries {
		versions = append(versions, e.Name())
	}
	dir := "openstack/" + pickVersion(strings.Join(versions, " "))
	docs, err := driveDocuments(t, dir)
	if err != nil {
		return "", err
	}
	if dsmode, err = i.metaData(docs["meta_data.json"]); err != nil {
		return "", fmt.Errorf("%s/meta_data.json: %w", dir, err)
	}
	i.UserData, i.NetworkData = docs["user_data"], docs["network_data.json"]
	i.VendorData = i.vendorData("vendor_data.json", docs)
	i.VendorData2 = i.vendorData("vendor_data2.json", docs)
	if err := i.content(t); err != nil {
		return "", err
	}
	return dsmode, i.driveEC2(t)
}

func driveDocuments(t tree, dir string) (map[string][]byte, error) {
	docs := map[string][]byte{}
	for _, name := range documents() {
		body, err := t.ReadFile(dir + "/" + name)
		switch {
		case err == nil:
			docs[name] = body
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("read %s: %w", dir+"/"+name, err)
		case name == "meta_data.json":
			return nil, errNoDocuments
		}
	}
	return docs, nil
}

// content reads what meta_data.json refers to.
func (i *Instance) content(t tree) error {
	files := i.MetaData.Get("files").Items()
	if len(files) > maxFiles {
		return fmt.Errorf("%d files to inject, the limit is %d", len(files), maxFiles)
	}
	total := 0
	for _, f := range files {
		name := text(f, "path")
		if name == "" {
			continue
		}
		data, err := contentOf(t, f)
		if err != nil {
			return fmt.Errorf("file to inject %.200q: %w", name, err)
		}
		if total += len(data); total > maxInjected {
			return fmt.Errorf("files to inject: %w", errTooLarge)
		}
		i.Files = append(i.Files, File{Path: name, Data: data})
	}
	config := i.MetaData.Get("network_config")
	if config.IsNull() {
		return nil
	}
	var err error
	if i.Interfaces, err = contentOf(t, config); err != nil {
		return fmt.Errorf("network_config: %w", err)
	}
	return nil
}

// contentOf reads the content_path of an item, which stays below openstack.
func contentOf(t tree, item *cloudconfig.Node) ([]byte, error) {
	name := strings.Trim(text(item, "content_path"), "/")
	if name == "" || !fs.ValidPath(name) {
		return nil, fmt.Errorf("content_path %.200q", name)
	}
	return t.ReadFile(path.Join("openstack", name))
}

// driveEC2 reads the EC2 tree's document, which only adds to the instance data.
func (i *Instance) driveEC2(t tree) error {
	const name = "ec2/latest/meta-data.json"
	i.EC2 = cloudconfig.NewMap()
	doc, err := t.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	md, err := parseJSON(doc)
	if err != nil {
		i.Problems = append(i.Problems, fmt.Sprintf("%s: %v", name, err))
		return nil
	}
	i.EC2 = md
	return nil
}
