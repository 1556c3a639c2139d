package metadata

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// fakeNouns holds a model and tells of its changes as the store does.
type fakeNouns struct {
	mu      sync.Mutex
	model   *cloud.Model
	changed chan struct{}
}

func newFakeNouns(m *cloud.Model) *fakeNouns {
	n := &fakeNouns{model: m, changed: make(chan struct{}, 1)}
	n.changed <- struct{}{}
	return n
}

func (n *fakeNouns) View(f func(*cloud.Model)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n.model)
}

func (n *fakeNouns) Changes(context.Context) <-chan struct{} { return n.changed }

func (n *fakeNouns) apply(changes ...cloud.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range changes {
		n.model.Apply(c)
	}
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// fakeBlobs holds bytes by their digest.
type fakeBlobs struct{ held sync.Map }

func (b *fakeBlobs) add(data []byte) cloud.Digest {
	d := cloud.DigestOf(data)
	b.held.Store(d, data)
	return d
}

func (b *fakeBlobs) ReadAll(d cloud.Digest, limit int64) ([]byte, error) {
	data, ok := b.held.Load(d)
	if !ok || int64(len(data.([]byte))) > limit {
		return nil, errors.New("away, or too large")
	}
	return data.([]byte), nil
}

func TestIndexFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nouns, blobs := newFakeNouns(cloud.NewModel()), &fakeBlobs{}
		x := NewIndex(Site{}, nouns, blobs, nil)
		if _, err := x.Instance("s"); cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("before the first fill: %v, want unavailable", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go x.Run(ctx)
		<-x.Ready()
		if _, err := x.Instance("s"); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("unknown server: %v", err)
		}

		data := []byte("#cloud-config\n")
		server := cloud.Server{ServerID: "s", Name: "one", UserData: cloud.DigestOf(data)}
		plain := cloud.Server{ServerID: "plain"}
		nouns.apply(cloud.Change{Record: &server}, cloud.Change{Record: &plain})
		synctest.Wait()
		if _, err := x.Instance("s"); cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("user data away: %v, want unavailable", err)
		}
		if _, err := x.Instance("plain"); err != nil {
			t.Errorf("a server without user data waits for another's: %v", err)
		}
		blobs.add(data)
		time.Sleep(firstRetry)
		synctest.Wait()
		if i, err := x.Instance("s"); err != nil || string(i.UserData) != string(data) {
			t.Fatalf("user data is back: %v", err)
		}

		before, _ := x.Instance("plain")
		renamed := server
		renamed.Name = "two"
		nouns.apply(cloud.Change{Record: &renamed})
		synctest.Wait()
		if i, err := x.Instance("s"); err != nil || i.Name != "two" || string(i.UserData) != string(data) {
			t.Errorf("renamed server: %v", err)
		}
		if after, _ := x.Instance("plain"); after != before {
			t.Error("an unchanged server was made anew")
		}

		nouns.apply(cloud.Change{Record: &renamed, Deleted: true})
		synctest.Wait()
		if _, err := x.Instance("s"); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("deleted server: %v", err)
		}
		if len(x.blobs.held) != 0 {
			t.Error("the deleted server's user data is kept")
		}
		close(nouns.changed)
		synctest.Wait()
		if _, err := x.Instance("plain"); err != nil {
			t.Errorf("after the last change: %v", err)
		}
		cancel()
	})
}

func TestUserDataIsBounded(t *testing.T) {
	m, blobs := cloud.NewModel(), &fakeBlobs{}
	for id, size := range map[cloud.ServerID]int{"whole": MaxUserData, "more": MaxUserData + 1} {
		m.Apply(cloud.Change{Record: &cloud.Server{ServerID: id, UserData: blobs.add(make([]byte, size))}})
	}
	x := NewIndex(Site{}, newFakeNouns(m), blobs, nil)
	if x.refresh() {
		t.Error("an index with too large user data is complete")
	}
	if _, err := x.Instance("whole"); err != nil {
		t.Error(err)
	}
	if _, err := x.Instance("more"); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("error %v, want unavailable", err)
	}
}

// TestFilesAreForTheDrive: injected files are read and told where a drive
// carries them, and nowhere else.
func TestFilesAreForTheDrive(t *testing.T) {
	m, blobs := cloud.NewModel(), &fakeBlobs{}
	files := []cloud.InjectedFile{{Path: "/a", Blob: blobs.add([]byte("one"))}, {Path: "/b", Blob: blobs.add([]byte{})}}
	lost := []cloud.InjectedFile{{Path: "/c", Blob: cloud.DigestOf([]byte("lost"))}}
	for _, s := range []*cloud.Server{
		{ServerID: "drive", ConfigDrive: true, Files: files}, {ServerID: "none", Files: files},
		{ServerID: "lost", ConfigDrive: true, Files: lost}, {ServerID: "lost, none", Files: lost},
	} {
		m.Apply(cloud.Change{Record: s})
	}
	x := NewIndex(Site{}, newFakeNouns(m), blobs, nil)
	if x.refresh() {
		t.Error("an index is complete without a file")
	}
	want := map[cloud.ServerID][]openstack.InjectedFile{
		"drive": {{Path: "/a", Content: []byte("one")}, {Path: "/b", Content: []byte{}}}, "none": nil, "lost, none": nil,
	}
	for id, files := range want {
		i, err := x.Instance(id)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if diff := cmp.Diff(files, i.Files); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	if _, err := x.Instance("lost"); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("a file is lost: %v, want unavailable", err)
	}
}

func TestIndexTellsOfChanges(t *testing.T) {
	m, nouns := cloud.NewModel(), newFakeNouns(cloud.NewModel())
	nouns.model = m
	x := NewIndex(Site{}, nouns, &fakeBlobs{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	changes := x.Changes(ctx)
	step := func(what string, want bool) {
		t.Helper()
		x.refresh()
		select {
		case <-changes:
			if !want {
				t.Errorf("%s: told of", what)
			}
		default:
			if want {
				t.Errorf("%s: not told of", what)
			}
		}
	}
	step("the start", true)
	step("nothing", false)
	server := &cloud.Server{ServerID: "s"}
	m.Apply(cloud.Change{Record: server})
	step("a new server", true)
	step("nothing", false)
	m.Apply(cloud.Change{Record: &cloud.Network{NetworkID: "n"}})
	step("a network that no server has", false)
	m.Apply(cloud.Change{Record: server, Deleted: true})
	step("the server's end", true)
	cancel()
	if _, open := <-changes; open {
		t.Error("told of something after the end")
	}
}

// The generation of a drive is that of the documents: it waits for the blobs.
func TestDriveGenerationGoesWithTheDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nouns, blobs := newFakeNouns(cloud.NewModel()), &fakeBlobs{}
		x := NewIndex(Site{}, nouns, blobs, nil)
		if got := x.DriveGeneration("s"); got != 0 {
			t.Errorf("before it runs: %d", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go x.Run(ctx)
		late := []byte("late")
		server := &cloud.Server{ServerID: "s", ConfigDrive: true, DriveGeneration: 3, UserData: cloud.DigestOf(late)}
		nouns.apply(cloud.Change{Record: server})
		synctest.Wait()
		if got := x.DriveGeneration("s"); got != 0 {
			t.Errorf("without its user data: %d", got)
		}
		blobs.add(late)
		time.Sleep(lastRetry)
		synctest.Wait()
		if got := x.DriveGeneration("s"); got != 3 {
			t.Errorf("generation %d, want 3", got)
		}
	})
}
