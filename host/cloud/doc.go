// Package cloud answers "what is in the cloud?": the nouns (project, user, key
// pair, image, flavor, server, network, subnet, port, router) and their rules,
// the records that nodes are to realise and the reports that come back, the
// kinds of error, and the headers that carry trust between the hops of a
// metadata request. It does no I/O.
//
// Values of this package are plain data. A record that was handed out by a
// [Model] is shared and must not be changed; change a copy and commit it.
package cloud
