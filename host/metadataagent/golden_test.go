package metadataagent

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/host/cloud"
)

// The cloud that testdata was captured from, and its secret.
const (
	peerNet    = cloud.NetworkID("b0ff43f1-6bd1-422a-a62a-d4b2caaf8183")
	peerIso    = cloud.NetworkID("fdf7e29b-5066-4750-af92-e5da26016823")
	peerRouter = cloud.RouterID("f1755ec2-f2a7-4105-a32b-66b43f5f1ff2")
	peerSecret = "peer-shared-secret"
)

func peerCloud() cloud.Slice {
	s := newSlice(peerNet, peerIso).
		port("c1", peerNet, nova, "cc8f7f24-498d-4e21-a549-f3771c3e5189", "fa:16:3e:cd:14:1d", "s=10.10.1.123").
		port("c4", peerIso, nova, "7eab3414-0858-4154-8032-a76751837a92", "fa:16:3e:11:c6:55", "i=10.10.2.85").
		port("d", peerIso, dhcp, "dhcp", "fa:16:3e:89:0b:5e", "i=10.10.2.2").
		port("r", peerNet, leg, string(peerRouter), "fa:16:3e:d1:2f:42", "s=10.10.1.1").
		router(peerRouter, "r")
	for id, p := range s.Ports {
		p.ProjectID = "24e78059691049cba696fd789cea5d76"
		s.Ports[id] = p
	}
	return s.Slice
}

func readGolden[T any](t *testing.T, name string) (v T) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// exact returns an agent in Neutron's form in front of a service at address.
func exact(t *testing.T, address string) *rig {
	c := ownUID()
	c.Services, c.Secret, c.NeutronForm = []string{address}, peerSecret, true
	r := startRig(t, c)
	r.agent.Update(peerCloud())
	return r
}

// stub answers the status that its path asks for, as the peer's did.
func stub(w http.ResponseWriter, r *http.Request) {
	status := 200
	fmt.Sscanf(r.URL.Path, "/status/%d", &status)
	h := w.Header()
	h.Set("Content-Type", "application/x-peer; charset=latin-1")
	h.Set("X-Upstream", "1")
	h.Set("ETag", `"e"`)
	if status/100 == 3 {
		h.Set("Location", "/redirected")
	}
	w.WriteHeader(status)
	if status != 204 && status != 304 {
		fmt.Fprintf(w, "upstream body %d\n", status)
	}
}

// TestAnswersAsNeutron replays what the real agent was asked. Where it was too
// trusting, ours says something else even in its form.
func TestAnswersAsNeutron(t *testing.T) {
	type response struct {
		Status  int
		Headers map[string]string
		Body    string
	}
	golden := readGolden[struct {
		Agent []struct {
			Case, Method, Path, Body string
			Headers                  [][2]string
			Response                 response
		}
	}](t, "testdata/agent.json")
	if len(golden.Agent) < 40 {
		t.Fatalf("%d cases", len(golden.Agent))
	}
	departures := map[string]int{
		"unknown router id": 404, "address of the dhcp port itself": 404, // it finds the address anywhere; it takes the port for an instance
		"two X-Forwarded-For headers": 200, "list in X-Forwarded-For": 200, // the last is the nearest hop's
	}
	up, down := newRig(t, ownUID(), stub), exact(t, "127.0.0.1:1")
	up = exact(t, up.agent.config.Services[0])
	for _, c := range golden.Agent {
		r := up
		if strings.HasPrefix(c.Case, "nova refuses") {
			r = down
		}
		h := http.Header{}
		for _, f := range c.Headers {
			h.Add(f[0], f[1])
		}
		res, body := r.send(t, c.Method, c.Path, h, strings.NewReader(c.Body))
		if status, departs := departures[c.Case]; departs {
			if res.StatusCode != status || res.StatusCode == c.Response.Status {
				t.Errorf("%s: %d, want %d", c.Case, res.StatusCode, status)
			}
			continue
		}
		got := response{res.StatusCode, map[string]string{}, body}
		for name := range res.Header {
			if name != "Date" && name != "Retry-After" {
				got.Headers[name] = res.Header.Get(name)
			}
		}
		if diff := cmp.Diff(c.Response, got); diff != "" {
			t.Errorf("%s: %s", c.Case, diff)
		}
	}
}

// TestHopsAsCaptured sends the bytes that haproxy sent, and compares what
// Nova gets and what haproxy gets back.
func TestHopsAsCaptured(t *testing.T) {
	type hop struct{ Request, Response string }
	golden := readGolden[struct {
		Exchanges []struct {
			What           string
			HaproxyToAgent hop   `json:"haproxy_to_agent"`
			AgentToNova    []hop `json:"agent_to_nova"`
		}
	}](t, "testdata/hops.json")
	compared := 0
	for _, x := range golden.Exchanges {
		if len(x.AgentToNova) == 0 {
			continue // two addresses, which the real agent cannot read
		}
		compared++
		received := make(chan string, 1)
		service := rawServer(t, x.AgentToNova[0].Response, received)
		r := exact(t, service)
		c, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, x.HaproxyToAgent.Request)
		in := bufio.NewReader(c)
		method, _, _ := strings.Cut(x.HaproxyToAgent.Request, " ")
		got := readAnswer(t, in, method)
		want := readAnswer(t, bufio.NewReader(strings.NewReader(x.HaproxyToAgent.Response)), method)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: answer: %s", x.What, diff)
		}
		if diff := cmp.Diff(readRequest(t, x.AgentToNova[0].Request), readRequest(t, <-received)); diff != "" {
			t.Errorf("%s: to Nova: %s", x.What, diff)
		}
		c.Close()
		r.stop()
	}
	if compared < 6 {
		t.Errorf("%d exchanges", compared)
	}
}

// rawServer takes one request on each connection, and answers with the bytes.
func rawServer(t *testing.T, answer string, received chan<- string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var raw strings.Builder
			req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &raw)))
			if err == nil {
				io.Copy(io.Discard, req.Body)
				received <- raw.String()
			}
			io.WriteString(c, answer)
			c.Close()
		}
	}()
	return l.Addr().String()
}

// message is a request or an answer without what differs from run to run.
type message struct {
	First  string
	Header http.Header
	Body   string
}

func readRequest(t *testing.T, raw string) message {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	return message{req.Method + " " + req.RequestURI + " " + req.Proto, req.Header, string(body)}
}

func readAnswer(t *testing.T, in *bufio.Reader, method string) message {
	t.Helper()
	res, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Header.Del("Date")
	res.Header.Del("Connection")
	return message{res.Status, res.Header, string(body)}
}
