package feed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
	"imprint/host/enroll"
)

// meet runs clients of a server and returns once each has its slice.
func meet(t *testing.T, clients ...*Client) {
	t.Helper()
	for _, c := range clients {
		there := make(chan struct{}, 1)
		run(t, c, func(cloud.Slice) { there <- struct{}{} })
		<-there
	}
}

// TestConsoleOverTLS asks a node each of whose parts has its own connection.
func TestConsoleOverTLS(t *testing.T) {
	a := newAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &Server{Source: partSource{}, Sink: takeAll}
	start(t, func(ctx context.Context) error { return server.Serve(ctx, tls.NewListener(l, a.config()), a.identify) })
	client := func(node string, role enroll.NodeRole, console func(context.Context, cloud.ServerID, int) (string, error)) *Client {
		id, _ := a.node(t, node, role)
		return &Client{Console: console, Dial: func(ctx context.Context) (net.Conn, error) {
			return (&tls.Dialer{Config: id.ClientConfig(enroll.API)}).DialContext(ctx, "tcp", l.Addr().String())
		}}
	}
	never := func(context.Context, cloud.ServerID, int) (string, error) {
		t.Error("another part was asked")
		return "", nil
	}
	long := strings.Repeat("\x1b\uFFFD<", maxText) // what JSON would make longest
	meet(t, client("n1", enroll.ComputeNode, func(_ context.Context, id cloud.ServerID, lines int) (string, error) {
		switch id {
		case "long":
			return long, nil
		case "none":
			return "", fmt.Errorf("look: %w", cloud.Errorf(cloud.NotFound, "100%% gone"))
		case "wordy":
			return "", errors.New(long)
		}
		return fmt.Sprint("console of ", id, " ", lines, "\n\xff\x00"), nil
	}), client("n1", enroll.NetworkNode, never), client("n1", enroll.MetadataAgent, never),
		client("n2", enroll.MetadataAgent, never), client("n3", enroll.ComputeNode, nil))
	cases := []struct {
		node string
		id   cloud.ServerID
		text string
		kind cloud.Kind
		err  string
	}{
		{"n1", "i", "console of i -1\n\x00", 0, ""},
		{"n1", "long", strings.ToValidUTF8(long[len(long)-maxText:], ""), 0, ""},
		{"n1", "none", "", cloud.NotFound, "look: 100% gone"},
		{"n1", "wordy", "", cloud.Internal, strings.ToValidUTF8(long[:maxReason], "")},
		{"n2", "i", "", cloud.Unavailable, "The compute service of node n2 is not connected."},
		{"n3", "i", "", cloud.NotFound, "There is no console of instance i."},
		{"n4", "i", "", cloud.Unavailable, "The compute service of node n4 is not connected."},
	}
	for _, tc := range cases {
		for range maxQuestions + 1 { // each gives its place back
			text, err := server.Console(t.Context(), tc.node, tc.id, -1)
			if text != tc.text {
				t.Errorf("%s on %s: %d bytes %.99q, want %d bytes %.99q", tc.id, tc.node, len(text), text, len(tc.text), tc.text)
			}
			if (err == nil) != (tc.err == "") || err != nil && (err.Error() != tc.err || cloud.KindOf(err) != tc.kind) {
				t.Errorf("%s on %s: %v of kind %d", tc.id, tc.node, err, cloud.KindOf(err))
			}
		}
	}
}

func TestKindsOfErrorHaveNames(t *testing.T) {
	for k := cloud.Internal; k <= cloud.TooLarge; k++ {
		if got := kindNamed(kindName(k)); got != k || kindName(k) == "" {
			t.Errorf("kind %d is called %q and read as %d", k, kindName(k), got)
		}
	}
	if kindName(cloud.TooLarge+1) != "internal" || kindNamed("novel") != cloud.Internal {
		t.Error("an unknown kind is not internal")
	}
}

// asker counts what askers got.
type asker struct {
	mu  sync.Mutex
	got map[string]int
	all sync.WaitGroup
}

// ask asks n1 in a goroutine of its own.
func (a *asker) ask(ctx context.Context, s *Server) {
	a.all.Go(func() {
		text, err := s.Console(ctx, "n1", "i", 5)
		if err != nil {
			text = fmt.Sprint("kind ", cloud.KindOf(err), ": ", err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.got == nil {
			a.got = map[string]int{}
		}
		a.got[text]++
	})
}

func (a *asker) want(t *testing.T, want map[string]int) {
	t.Helper()
	a.all.Wait()
	if diff := cmp.Diff(want, a.got); diff != "" {
		t.Error(diff)
	}
}

func TestQuestionsAreBoundedAndTheNewestIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := newPipes(), &Server{Source: partSource{}, Sink: takeAll}
		serve(t, server, l, "n1")
		release := make(chan struct{})
		called := func(name string) *Client {
			return &Client{Dial: l.dial, Console: func(context.Context, cloud.ServerID, int) (string, error) {
				<-release
				return name, nil
			}}
		}
		meet(t, called("old"), called("new"))
		var a asker
		for range 2*maxQuestions + 1 {
			a.ask(t.Context(), server)
			synctest.Wait()
		}
		close(release)
		a.want(t, map[string]int{"old": maxQuestions, "new": maxQuestions, "kind 6: Node n1 has too many questions to answer.": 1})
		a.ask(t.Context(), server)
		a.want(t, map[string]int{"old": maxQuestions, "new": maxQuestions + 1, "kind 6: Node n1 has too many questions to answer.": 1})
	})
}

func TestWaitForAnAnswerEnds(t *testing.T) {
	cases := map[string]struct {
		end  func(conn net.Conn, cancel, stop func())
		want string
	}{
		"asker gives up":    {func(_ net.Conn, cancel, _ func()) { cancel() }, "kind 0: ask node n1: context canceled"},
		"connection breaks": {func(c net.Conn, _, _ func()) { c.Close() }, "kind 6: Node n1 went away before it answered."},
		"server stops":      {func(_ net.Conn, _, stop func()) { stop() }, "kind 6: Node n1 went away before it answered."},
		"time is over":      {func(net.Conn, func(), func()) { time.Sleep(answerTimeout) }, "kind 6: Node n1 did not answer in time."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, server := newPipes(), &Server{Source: partSource{}, Sink: takeAll}
				stop := serve(t, server, l, "n1")
				var conn net.Conn
				ended := make(chan error, 1)
				c := &Client{
					Dial: func(ctx context.Context) (_ net.Conn, err error) { conn, err = l.dial(ctx); return conn, err },
					Console: func(ctx context.Context, _ cloud.ServerID, _ int) (string, error) {
						<-ctx.Done() // ends with the connection
						ended <- ctx.Err()
						return "too late", nil
					},
				}
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					c.once(t.Context(), make(chan cloud.Slice, 1))
				}()
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var a asker
				a.ask(ctx, server)
				synctest.Wait()
				tc.end(conn, cancel, stop)
				a.want(t, map[string]int{tc.want: 1})
				conn.Close()
				<-gone
				<-ended
			})
		})
	}
}

// TestHostileAnswers: what was not asked, or is larger than it may be, ends the
// connection that it came on, and nothing of it reaches an asker.
func TestHostileAnswers(t *testing.T) {
	answer := func(seq int64, size int) frame {
		return frame{Type: typeAnswer, Seq: seq, Text: make([]byte, size)}
	}
	const lost = "kind 6: Node n1 went away before it answered."
	cases := map[string]struct {
		asked  int
		frames []frame
		want   map[string]int
	}{
		"never asked":               {0, []frame{answer(1, 1)}, nil},
		"never asked, and large":    {0, []frame{answer(1, maxReport)}, nil},
		"another's number":          {1, []frame{answer(7, 1)}, map[string]int{lost: 1}},
		"twice":                     {1, []frame{answer(1, 1), answer(1, 1)}, map[string]int{"\x00": 1}},
		"twice, and large":          {1, []frame{answer(1, 1), answer(1, maxReport)}, map[string]int{"\x00": 1}},
		"text too long":             {1, []frame{answer(1, maxText+1)}, map[string]int{lost: 1}},
		"reason too long":           {1, []frame{{Type: typeAnswer, Seq: 1, Kind: "invalid", Error: strings.Repeat("x", maxReason+1)}}, map[string]int{lost: 1}},
		"frame too large":           {1, []frame{{Type: typeAnswer, Seq: 1, Error: strings.Repeat("x", maxAnswer)}}, map[string]int{lost: 1}},
		"large report while asked":  {2, []frame{answer(2, 1), {Type: typeReport, Seq: 1, Report: largeReport()}}, map[string]int{"\x00": 1, lost: 1}},
		"large nothing while asked": {1, []frame{{Type: "novel", Text: make([]byte, maxReport)}}, map[string]int{lost: 1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, sink := newPipes(), &recorder{}
				server := &Server{Source: partSource{}, Sink: sink.sink}
				serve(t, server, l, "n1")
				// The other connection's question has the number 1 too.
				other, release := &asker{}, make(chan struct{})
				meet(t, &Client{Dial: l.dial, Console: func(context.Context, cloud.ServerID, int) (string, error) { <-release; return "honest", nil }})
				other.ask(t.Context(), server)
				synctest.Wait()
				conn, err := (&Client{Dial: l.dial}).open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for err == nil {
						_, err = readFrame(conn, maxRecord)
					}
				}()
				synctest.Wait() // it is the newest now
				var a asker
				for range tc.asked {
					a.ask(t.Context(), server)
					synctest.Wait()
				}
				began := time.Now()
				for _, f := range tc.frames {
					writeFrame(conn, f, 2*maxAnswer) // the server may end it half-way
				}
				<-ended
				if d := time.Since(began); d != 0 {
					t.Errorf("the connection stood for %v", d)
				}
				a.want(t, tc.want)
				close(release)
				other.want(t, map[string]int{"honest": 1})
				sink.want(t)
			})
		})
	}
}

func largeReport() *cloud.Report {
	r := instance("i", cloud.InstanceError)
	r.Instance.Fault = strings.Repeat("x", maxReport)
	return &r
}

// TestQuestionsOfTheServerAreBounded: a client does not take more at once than
// an honest server asks.
func TestQuestionsOfTheServerAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		var mu sync.Mutex
		near, far := net.Pipe()
		c := &Client{
			Dial: func(context.Context) (net.Conn, error) { return near, nil },
			Console: func(ctx context.Context, _ cloud.ServerID, _ int) (string, error) {
				mu.Lock()
				asked++
				mu.Unlock()
				<-ctx.Done()
				return "", ctx.Err()
			},
		}
		ended := make(chan error)
		go func() {
			_, err := c.once(t.Context(), make(chan cloud.Slice, 1))
			ended <- err
		}()
		if _, err := readFrame(far, maxReport); err != nil {
			t.Fatal(err)
		}
		writeFrame(far, frame{Type: typeHello, Version: version, Node: "n1"}, maxReport)
		for i := range maxQuestions + 1 {
			writeFrame(far, frame{Type: typeAsk, Seq: int64(i), ID: "i"}, maxReport)
		}
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "more than 4 questions at once") || asked != maxQuestions {
			t.Errorf("%v after %d questions", err, asked)
		}
		far.Close()
	})
}
