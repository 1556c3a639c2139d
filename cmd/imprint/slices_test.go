package main

import (
	"context"
	"testing"

	"imprint/base/openstack"
	"imprint/host/cloud"
	"imprint/host/feed"
)

// fakeDocuments is an index whose content a test sets; it tells no changes of
// its own.
type fakeDocuments struct {
	of      map[cloud.ServerID]*openstack.Instance
	drives  map[cloud.ServerID]int64
	changes chan struct{}
}

func (f *fakeDocuments) Instance(id cloud.ServerID) (*openstack.Instance, error) {
	if i := f.of[id]; i != nil {
		return i, nil
	}
	return nil, cloud.ErrNotFound
}

func (f *fakeDocuments) DriveGeneration(id cloud.ServerID) int64 { return f.drives[id] }

func (f *fakeDocuments) Changes(context.Context) <-chan struct{} { return f.changes }

// fixedNouns is a model that does not change.
type fixedNouns struct {
	model   *cloud.Model
	changes chan struct{}
}

func (f fixedNouns) View(see func(*cloud.Model))             { see(f.model) }
func (f fixedNouns) Changes(context.Context) <-chan struct{} { return f.changes }

// TestSlicesBringDrives: the documents of a drive come with the index's word of
// them, to the server's own node and for servers with a drive alone.
func TestSlicesBringDrives(t *testing.T) {
	m := cloud.NewModel()
	for _, r := range []cloud.Record{
		&cloud.Node{Name: "one", Compute: true}, &cloud.Node{Name: "two", Compute: true},
		&cloud.Server{ServerID: "drive", Host: "one", ConfigDrive: true}, &cloud.Server{ServerID: "none", Host: "one"},
	} {
		m.Apply(cloud.Change{Record: r})
	}
	index := &fakeDocuments{of: map[cloud.ServerID]*openstack.Instance{}, changes: make(chan struct{})}
	nouns := fixedNouns{m, make(chan struct{})}
	slices := planSource{nouns: nouns, index: index}.Slices(t.Context(), feed.Peer{Node: "one", Parts: feed.Parts{Compute: true}})

	nouns.changes <- struct{}{}
	if d := (<-slices).Instances["drive"]; !d.ConfigDrive || d.Drive != nil {
		t.Errorf("before its documents are there: drive %v, %s", d.ConfigDrive, d.Drive)
	}
	index.of["drive"] = &openstack.Instance{UUID: "drive", Name: "first"}
	index.of["none"] = &openstack.Instance{UUID: "none"}
	index.changes <- struct{}{}
	s := <-slices
	got, err := openstack.ParseInstance(s.Instances["drive"].Drive)
	if err != nil || got.Name != "first" {
		t.Errorf("drive of %+v, %v", got, err)
	}
	if d := s.Instances["none"]; d.ConfigDrive || d.Drive != nil {
		t.Errorf("a server without a drive: %v, %s", d.ConfigDrive, d.Drive)
	}
	index.of["drive"] = &openstack.Instance{UUID: "drive", Name: "second"}
	index.changes <- struct{}{}
	if got, err := openstack.ParseInstance((<-slices).Instances["drive"].Drive); err != nil || got.Name != "second" {
		t.Errorf("drive of %+v, %v", got, err)
	}

	// A request to make the drive anew waits for the documents that go with it.
	m.Apply(cloud.Change{Record: &cloud.Server{ServerID: "drive", Host: "one", ConfigDrive: true, DriveGeneration: 1}})
	nouns.changes <- struct{}{}
	if got := (<-slices).Instances["drive"].Drive; got != nil {
		t.Errorf("before the index: drive of %s", got)
	}
	index.drives = map[cloud.ServerID]int64{"drive": 1}
	index.changes <- struct{}{}
	if got := (<-slices).Instances["drive"]; got.DriveGeneration != 1 || got.Drive == nil {
		t.Errorf("generation %d, drive of %s", got.DriveGeneration, got.Drive)
	}

	index.changes, nouns.changes = make(chan struct{}), make(chan struct{}, 1)
	nouns.changes <- struct{}{}
	other := planSource{nouns: nouns, index: index}.Slices(t.Context(), feed.Peer{Node: "two", Parts: feed.Parts{Compute: true}})
	if s := <-other; len(s.Instances) != 0 {
		t.Errorf("the other node gets %v", s.Instances)
	}
	close(nouns.changes)
	if _, open := <-other; open {
		t.Error("slices go on after the last change")
	}
}
