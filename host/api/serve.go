package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"imprint/host/cloud"
)

// ServeHTTP answers req.
func (s *Service) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	start := time.Now()
	r := &Request{Request: req, ID: "req-" + cloud.NewUUID(), service: s}
	res, err := s.answer(w, r)
	if err != nil {
		res = s.refuse(r, err)
	}
	s.stamp(w, r)
	n, werr := res.write(w, r)
	s.logRequest(r, res.status(), n, time.Since(start), err, werr)
}

// answer runs the route's handler; what it panics becomes an error.
func (s *Service) answer(w http.ResponseWriter, r *Request) (res Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("handler panicked", "request_id", r.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("handler panicked: %v", p)
		}
	}()
	route, err := s.route(r.Request)
	if err != nil {
		return Response{}, err
	}
	if r.Version, err = s.options.Microversions.negotiate(r.Header); err != nil {
		return Response{}, err
	}
	ctl := http.NewResponseController(w)
	ctx := r.Context()
	if route.Stream {
		r.Body = &movingBody{ReadCloser: r.Body, extend: func() { extend(ctl) }}
		extend(ctl)
	} else {
		deadline := time.Now().Add(requestTimeout)
		_ = ctl.SetReadDeadline(deadline)  // not every writer has deadlines
		_ = ctl.SetWriteDeadline(deadline) // the context ends such a request
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	}
	r.Request = r.WithContext(ctx)
	if err := s.admit(r, route.Access); err != nil {
		return Response{}, err
	}
	return route.Do(r)
}

func (s *Service) admit(r *Request, access Access) error {
	if access == Anyone {
		return nil
	}
	token := r.Header.Get("X-Auth-Token")
	if token == "" {
		return errUnauthorized
	}
	caller, err := s.options.Auth.Authenticate(r.Context(), token)
	if cloud.KindOf(err) == cloud.Unauthorized {
		return errUnauthorized
	}
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	r.Caller = caller
	if access == Scoped && caller.ProjectID == "" {
		return cloud.Errorf(cloud.Forbidden, "The token is not scoped to a project.")
	}
	return nil
}

// stamp sets the headers that every answer carries.
func (s *Service) stamp(w http.ResponseWriter, r *Request) {
	for _, name := range s.options.Dialect.RequestIDs {
		w.Header()[name] = []string{r.ID}
	}
	s.options.Microversions.stamp(w.Header(), r.Version)
}

var globalRequestID = regexp.MustCompile(`^req-[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

func (s *Service) logRequest(r *Request, status int, n int64, took time.Duration, err, werr error) {
	level := slog.LevelInfo
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("service", s.options.Name), slog.String("request_id", r.ID),
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", status), slog.Int64("bytes", n), slog.Duration("took", took),
	}
	if r.Caller.UserID != "" {
		attrs = append(attrs, slog.String("user_id", string(r.Caller.UserID)), slog.String("project_id", string(r.Caller.ProjectID)))
	}
	if id := r.Header.Get("X-Openstack-Request-Id"); globalRequestID.MatchString(id) {
		attrs = append(attrs, slog.String("global_request_id", id))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
		if status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
	}
	if werr != nil {
		attrs = append(attrs, slog.String("write_error", werr.Error()))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// movingBody keeps a connection's deadlines ahead while bytes move.
type movingBody struct {
	io.ReadCloser
	extend func()
}

func (b *movingBody) Read(p []byte) (int, error) {
	b.extend()
	return b.ReadCloser.Read(p)
}

func extend(ctl *http.ResponseController) {
	deadline := time.Now().Add(streamStall)
	_ = ctl.SetReadDeadline(deadline)  // not every writer has deadlines
	_ = ctl.SetWriteDeadline(deadline) // and then nothing can stall
}
