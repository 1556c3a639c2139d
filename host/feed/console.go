package feed

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"imprint/host/cloud"
)

// Console asks the compute part of node for the last lines of an instance's
// console, all that is kept with a negative number: UTF-8 of at most 2 MiB. The
// newest connection that has room for a question is asked, once. An error of
// the node keeps its kind; it is of kind cloud.Unavailable when no such
// connection stands, all have too many open questions, the connection ends, or
// no answer comes within a minute (nova: rpc_response_timeout). When ctx ends
// it is ctx's. Safe for concurrent use, while Serve runs.
func (s *Server) Console(ctx context.Context, node string, id cloud.ServerID, lines int) (string, error) {
	connected := s.computes.of(node)
	if len(connected) == 0 {
		return "", cloud.Errorf(cloud.Unavailable, "The compute service of node %s is not connected.", node)
	}
	question := frame{Type: typeAsk, ID: string(id), Lines: lines}
	for _, one := range slices.Backward(connected) {
		if answer, ok := one.ask(question); ok {
			return one.wait(ctx, answer)
		}
	}
	return "", cloud.Errorf(cloud.Unavailable, "Node %s has too many questions to answer.", node)
}

// ask sends a question, and returns where its answer will come; ok is false
// when there are too many.
func (s *session) ask(f frame) (answer <-chan frame, ok bool) {
	if f.Seq, answer, ok = s.questions.add(); !ok {
		return nil, false
	}
	select {
	case s.asks <- f:
		return answer, true
	default: // the node answers questions that it has not got yet
		s.questions.drop(f.Seq)
		return nil, false
	}
}

func (s *session) wait(ctx context.Context, answer <-chan frame) (string, error) {
	late := time.NewTimer(answerTimeout)
	defer late.Stop()
	select {
	case f := <-answer:
		return f.answered()
	case <-ctx.Done():
		return "", fmt.Errorf("ask node %s: %w", s.peer.Node, ctx.Err())
	case <-s.gone:
		return "", cloud.Errorf(cloud.Unavailable, "Node %s went away before it answered.", s.peer.Node)
	case <-late.C:
		return "", cloud.Errorf(cloud.Unavailable, "Node %s did not answer in time.", s.peer.Node)
	}
}

// answered returns what an answer says.
func (f frame) answered() (string, error) {
	if f.Kind != "" {
		return "", cloud.Errorf(kindNamed(f.Kind), "%s", f.Error)
	}
	return strings.ToValidUTF8(string(f.Text), ""), nil
}

// computes are the connections that speak for the compute part of their node,
// the newest last. The zero value has none. Safe for concurrent use.
type computes struct {
	mu     sync.Mutex
	byNode map[string][]*session
}

func (c *computes) of(node string) []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.byNode[node])
}

func (c *computes) enter(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byNode == nil {
		c.byNode = map[string][]*session{}
	}
	c.byNode[s.peer.Node] = append(c.byNode[s.peer.Node], s)
}

func (c *computes) leave(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := slices.DeleteFunc(c.byNode[s.peer.Node], func(other *session) bool { return other == s })
	if c.byNode[s.peer.Node] = left; len(left) == 0 {
		delete(c.byNode, s.peer.Node)
	}
}
