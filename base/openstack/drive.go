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

// driveEC2Versions are the versions of the EC2 tree on a drive: Nova skips
// those before by default (nova: conf/api.py, config_drive_skip_versions).
var driveEC2Versions = []string{ec2Newest, Latest}

// Drive returns the files of the instance's config drive, in the order of the
// versions: what the metadata service tells, each document of the EC2 tree as
// JSON, with the injected files and the administrator's password besides.
// random is the source of random_seed, which differs from document to document
// as it does from request to request; its error is returned.
// nova: api/metadata/base.py, metadata_for_config_drive.
func (i *Instance) Drive(random io.Reader) ([]DriveFile, error) {
	files := i.driveEC2()
	for _, name := range append(versionNames(), Latest) {
		v, _ := ParseVersion(name)
		for _, doc := range i.documents(v) {
			if doc == namePassword || doc == nameVendorData && i.VendorData.off {
				continue
			}
			body, err := i.driveDocument(doc, v, random)
			if err != nil {
				return nil, err
			}
			files = append(files, DriveFile{"openstack/" + name + "/" + doc, body})
		}
	}
	return append(files, i.driveContent()...), nil
}

func (i *Instance) driveEC2() []DriveFile {
	var files []DriveFile
	metaData := i.ec2MetaData()
	for _, v := range driveEC2Versions {
		files = append(files, DriveFile{"ec2/" + v + "/meta-data.json", metaData})
		if i.UserData != nil {
			files = append(files, DriveFile{"ec2/" + v + "/user-data", i.UserData})
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
