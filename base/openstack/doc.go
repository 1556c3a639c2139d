// Package openstack holds the documents that an instance is told about itself:
// meta_data.json, network_data.json, vendor data, the EC2 tree and the lists
// of versions. [Instance] is everything they are made of; [Instance.Lookup]
// finds the document of a path, [Instance.Drive] makes those of the config
// drive. The bytes are those of Nova 26.2.2, with the version that Nova 31
// added. The parsers serve whoever reads such documents.
//
// The package is pure: values in, bytes out, no I/O but reading random bytes
// from a source that is handed in.
package openstack
