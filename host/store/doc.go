// Package store keeps the nouns: records of package cloud, written in
// transactions that take and release their claims, read from a model in memory
// that the change feed keeps up to date.
//
// An [Engine] holds keys and revisions: etcd inside this process ([OpenEtcd]),
// which can serve others ([Etcd.Serve]), one that another process serves
// ([OpenRemote]), or memory ([NewMemory]) for tests. A [Store] on top knows
// what the keys mean.
//
// docs/store.md describes the keys and the form of the values.
package store
