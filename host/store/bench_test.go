package store

import (
	"fmt"
	"strings"
	"testing"

	"imprint/host/cloud"
)

// BenchmarkOpenEtcd is the start of a new store and of one that was closed.
func BenchmarkOpenEtcd(b *testing.B) {
	open := func(dir string) *Etcd {
		e, err := OpenEtcd(b.Context(), EtcdOptions{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			e := open(b.TempDir())
			b.StopTimer()
			e.Close()
			b.StartTimer()
		}
	})
	b.Run("again", func(b *testing.B) {
		dir := b.TempDir()
		open(dir).Close()
		for b.Loop() {
			e := open(dir)
			b.StopTimer()
			e.Close()
			b.StartTimer()
		}
	})
}

// BenchmarkCommit is one writer of small records, on disk.
func BenchmarkCommit(b *testing.B) {
	s, err := Open(b.Context(), diskOptions(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprint(i)
		if err := s.Commit(b.Context(), cloud.Txn{Put: []cloud.Record{project(id, id)}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad is the reading of 10,000 servers into memory.
func BenchmarkLoad(b *testing.B) {
	e := NewMemory()
	s, err := Open(b.Context(), Options{Engine: unclosed{e}, Key: b.TempDir() + "/key"})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < 10_000; i += 50 {
		var txn cloud.Txn
		for n := i; n < i+50; n++ {
			txn.Put = append(txn.Put, &cloud.Server{ServerID: cloud.ServerID(fmt.Sprint(n)), Number: int64(n), Name: "web", PublicKey: strings.Repeat("k", 500)})
		}
		if err := s.Commit(b.Context(), txn); err != nil {
			b.Fatal(err)
		}
	}
	s.Close()
	kvs, rev, err := e.List(b.Context(), root)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := newState().apply(s.codec, asEvents(kvs), rev); err != nil {
			b.Fatal(err)
		}
	}
}
