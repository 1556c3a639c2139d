package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
)

func TestFrameLimits(t *testing.T) {
	var buf bytes.Buffer
	big := frame{Type: typeRefuse, Error: strings.Repeat("x", 1000)}
	if err := writeFrame(&buf, big, 1000); !errors.Is(err, errTooLarge) || buf.Len() != 0 {
		t.Errorf("%v, and %d bytes were sent", err, buf.Len())
	}
	if err := writeFrame(&buf, big, 2000); err != nil {
		t.Fatal(err)
	}
	if _, err := readFrame(&buf, 1000); !errors.Is(err, errTooLarge) {
		t.Errorf("frame over the limit was read: %v", err)
	}
}

func TestReceiverRefusesNonsense(t *testing.T) {
	network := json.RawMessage(`{"id":"n1"}`)
	cases := map[string][]frame{
		"record under another id": {{Type: typeSet, Kind: kindNetwork, ID: "n2", Revision: 1, Value: network}},
		"record without an id":    {{Type: typeSet, Kind: kindNetwork, Revision: 1, Value: json.RawMessage(`{}`)}},
		"value that is no record": {{Type: typeSet, Kind: kindNetwork, ID: "n1", Revision: 1, Value: json.RawMessage(`[]`)}},
		"revision too high":       {{Type: typeSynced, Revision: 2}},
		"revision twice":          {{Type: typeSynced, Revision: 1}, {Type: typeRemove, Kind: kindNetwork, ID: "n1", Revision: 1}},
	}
	for name, frames := range cases {
		t.Run(name, func(t *testing.T) {
			r := newReceiver()
			var err error
			for _, f := range frames {
				err = r.take(f)
			}
			if err == nil {
				t.Error("it was accepted")
			}
		})
	}
}

func newReceiver() *receiver {
	return &receiver{client: &Client{}, box: make(chan cloud.Slice, 1), hold: make(chan struct{}, 1), slice: cloud.NewSlice()}
}

func TestReceiverPassesOverTheUnknown(t *testing.T) {
	r := newReceiver()
	for _, f := range []frame{
		{Type: "novel", Revision: 9},
		{Type: typeSet, Kind: "volume", ID: "v1", Revision: 1, Value: json.RawMessage(`{"id":"v1"}`)},
		{Type: typeSet, Kind: kindNetwork, ID: "n1", Revision: 1, Value: json.RawMessage(`{"id":"n1","mtu":9,"novel":1}`)},
		{Type: typeSynced, Revision: 1},
	} {
		if err := r.take(f); err != nil {
			t.Fatal(err)
		}
	}
	want := cloud.NewSlice()
	want.Networks["n1"] = cloud.DesiredNetwork{ID: "n1", MTU: 9}
	if diff := cmp.Diff(want, <-r.box, cmpComparable); diff != "" {
		t.Error(diff)
	}
}

// FuzzReceiver feeds a client what a server could send.
func FuzzReceiver(f *testing.F) {
	var buf bytes.Buffer
	diff(cloud.NewSlice(), fullSlice(), func(fr frame) error {
		fr.Revision = 1
		return writeFrame(&buf, fr, maxRecord)
	})
	writeFrame(&buf, frame{Type: typeSynced, Revision: 1}, maxRecord)
	writeFrame(&buf, frame{Type: typeAck, Seq: 1, Error: "no"}, maxRecord)
	writeFrame(&buf, frame{Type: typeAgain, Seq: 2}, maxRecord)
	f.Add(buf.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newReceiver()
		in := bytes.NewReader(b)
		for {
			fr, err := readFrame(in, 1<<16)
			if err != nil || r.take(fr) != nil {
				return
			}
		}
	})
}

// FuzzSession feeds a server what a node could send after its hello.
func FuzzSession(f *testing.F) {
	var buf bytes.Buffer
	for _, r := range []cloud.Report{port("p1", true), instance("s1", cloud.InstanceError), {}} {
		writeFrame(&buf, frame{Type: typeReport, Seq: 1, Report: &r}, maxReport)
	}
	f.Add(buf.Bytes())
	f.Add([]byte{0, 1, 0, 0, '{'})
	f.Add([]byte("\x00\x00\x00\x11{\"type\":\"report\"}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		took := 0
		server := &Server{Source: &fakeSource{}, Sink: func(_ context.Context, node string, r cloud.Report) error {
			if took++; node != "n1" || (r.Instance == nil) == (r.Port == nil) {
				t.Errorf("report %+v of node %q", r, node)
			}
			return nil
		}}
		near, far := net.Pipe()
		go func() {
			near.Write(b)
			near.Close()
		}()
		answers := make(chan frame, len(b)+1)
		if err := (&session{server: server, peer: Peer{"n1", everyPart}, conn: far}).read(t.Context(), answers); err == nil {
			t.Error("reading ended without a reason")
		}
		far.Close()
		if len(answers) < took {
			t.Errorf("%d answers to %d reports", len(answers), took)
		}
	})
}
