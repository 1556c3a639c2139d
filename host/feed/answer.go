package feed

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"imprint/host/cloud"
)

// answers are the client's to the questions of one connection.
type answers struct {
	console func(context.Context, cloud.ServerID, int) (string, error)
	start   func(func() error) // a goroutine of the connection
	open    atomic.Int32       // questions whose answer is not being sent yet
	ready   chan frame         // answers to send; there is room for all
}

func newAnswers(console func(context.Context, cloud.ServerID, int) (string, error), start func(func() error)) *answers {
	return &answers{console: console, start: start, ready: make(chan frame, maxQuestions)}
}

// begin starts to answer f.
func (a *answers) begin(ctx context.Context, f frame) error {
	if a.open.Add(1) > maxQuestions {
		return fmt.Errorf("more than %d questions at once", maxQuestions)
	}
	a.start(func() error {
		a.ready <- a.answer(ctx, f)
		return nil
	})
	return nil
}

func (a *answers) answer(ctx context.Context, f frame) frame {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	text, err := "", cloud.Errorf(cloud.NotFound, "There is no console of instance %s.", f.ID)
	if a.console != nil {
		text, err = a.console(ctx, cloud.ServerID(f.ID), f.Lines)
	}
	if err != nil {
		reason := err.Error()
		reason = reason[:min(len(reason), maxReason)]
		return frame{Type: typeAnswer, Seq: f.Seq, Kind: kindName(cloud.KindOf(err)), Error: strings.ToValidUTF8(reason, "")}
	}
	text = text[max(0, len(text)-maxText):]
	return frame{Type: typeAnswer, Seq: f.Seq, Text: []byte(strings.ToValidUTF8(text, ""))}
}
