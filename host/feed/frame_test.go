package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"unicode/utf8"

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
	a := newAnswers(nil, func(f func() error) { f() })
	return &receiver{
		client: &Client{}, box: make(chan cloud.Slice, 1), hold: make(chan struct{}, 1), slice: cloud.NewSlice(),
		ask: func(f frame) error { return a.begin(context.Background(), f) },
	}
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
	for range maxQuestions + 1 {
		writeFrame(&buf, frame{Type: typeAsk, Seq: 1, ID: "s1", Lines: -1}, maxRecord)
	}
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
	for _, seq := range []int64{2, 1, 1} {
		writeFrame(&buf, frame{Type: typeAnswer, Seq: seq, Text: []byte("a\xff\n")}, maxAnswer)
		f.Add(buf.Bytes())
	}
	f.Add([]byte("\x00\x00\x00\x2f{\"type\":\"answer\",\"seq\":1,\"kind\":\"not-found\"}"))
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
		acks := make(chan frame, len(b)+1)
		s := newSession(server, Peer{"n1", everyPart}, far, nil)
		var asked []<-chan frame
		for range 2 {
			answer, ok := s.ask(frame{Type: typeAsk, ID: "s1"})
			if !ok {
				t.Fatal("there is no room for a question")
			}
			asked = append(asked, answer)
		}
		if err := s.read(t.Context(), acks); err == nil {
			t.Error("reading ended without a reason")
		}
		far.Close()
		if len(acks) < took {
			t.Errorf("%d answers to %d reports", len(acks), took)
		}
		wantAnswers(t, s, asked)
	})
}

// wantAnswers checks what came to the first questions of a session, each under
// its own number: at most one answer, of valid text within its bounds.
func wantAnswers(t *testing.T, s *session, asked []<-chan frame) {
	t.Helper()
	came := 0
	for i, answer := range asked {
		if len(answer) == 0 {
			continue
		}
		came++
		f := <-answer
		text, err := f.answered()
		if f.Seq != int64(i+1) || len(text) > maxText || !utf8.ValidString(text) || (err != nil) != (f.Kind != "") {
			t.Errorf("question %d is answered %+v: %q, %v", i+1, f, text, err)
		}
	}
	if open := len(s.questions.open); open+came != len(asked) {
		t.Errorf("%d of %d questions answered, %d open", came, len(asked), open)
	}
}
