package openstack

import (
	"fmt"
	"io"
	"slices"
)

// DriveFile is a file of the config drive.
type DriveFile struct {
	Path string // relative, with slashes: "openstack/latest/meta_data.json"
	Body []byte // not to be changed
}

// DriveSkips are the versions of the EC2 tree that a drive leaves out unless
// its site says otherwise (nova: conf/api.py, config_drive_skip_versions).
func DriveSkips() []string {
	return slices.DeleteFunc(EC2Versions(), func(v string) bool { return v == ec2Newest })
}

// Drive returns the files of the instance's config drive, in the order of the
// versions: what the metadata service tells, each document of the EC2 tree as
// JSON, with the injected files and the administrator's password besides.
// random is the source of random_seed, which differs from document to document
// as it does from request to request; its error is returned. skip are versions
// of the EC2 tree, "latest" among them, that are left out.
// nova: api/metadata/base.py, metadata_for_config_drive.
func (i *Instance) Drive(random io.Reader, skip []string) ([]DriveFile, error) {
	files := i.driveEC2(skip)
	same := map[string][]byte{} // documents that all versions have alike
	for _, name := range append(versionNames(), Latest) {
		v, _ := ParseVersion(name)
		for _, doc := range i.documents(v) {
			if doc == namePassword || doc == nameVendorData && i.VendorData.off {
				continue
			}
			body := same[doc]
			if body == nil {
				var err error
				if body, err = i.driveDocument(doc, v, random); err != nil {
					return nil, err
				}
			}
			if doc != nameMetaData {
				same[doc] = body
			}
			files = append(files, DriveFile{"openstack/" + name + "/" + doc, body})
		}
	}
	return append(files, i.driveContent()...), nil
}

func (i *Instance) driveEC2(skip []string) []DriveFile {
	var files []DriveFile
	for _, name := range append(EC2Versions(), Latest) {
		if slices.Contains(skip, name) {
			continue
		}
		v, _ := parseEC2Version(name)
		files = append(files, DriveFile{"ec2/" + name + "/meta-data.json", i.ec2MetaData(v)})
		if i.UserData != nil {
			files = append(files, DriveFile{"ec2/" + name + "/user-data", i.UserData})
		}
	}
	return files
}

func (i *Instance) driveDocument(name string, v Version, random io.Reader) ([]byte, error) {
	if name != nameMetaData {
		return i.document(name).Body, nil
	}
	m, err := i.MetaData(v, random)
	if err != nil {
		return nil, err
	}
	m.AdminPass = i.AdminPass
	next := len(i.Content())
	for n, f := range i.Files {
		m.Files = append(m.Files, File{Path: f.Path, ContentPath: contentPath(next + n)})
	}
	return m.Encode(), nil
}

func (i *Instance) driveContent() []DriveFile {
	bodies := slices.Clone(i.Content())
	for _, f := range i.Files {
		bodies = append(bodies, f.Content)
	}
	var files []DriveFile
	for n, body := range bodies {
		files = append(files, DriveFile{"openstack" + contentPath(n), body})
	}
	return files
}

// contentPath is the place of content number n below openstack/.
func contentPath(n int) string { return fmt.Sprintf("/content/%04d", n) }
