package stage

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"imprint/base/userdata"
	"imprint/guest/clouddir"
)

// Part handlers are Python modules that users send along (text/part-handler),
// or that lie in /var/lib/cloud/handlers. They run in one Python process an
// origin, if there is a Python; versions 1 to 3.
// cloud-init: handlers/__init__.py, stages.py _do_handlers.

//go:embed python.py
var pythonDriver string

const siteHandlers = clouddir.CloudDir + "/handlers"

// pythons are where a Python may be.
func pythons() []string {
	return []string{"/usr/bin/python3", "/usr/local/bin/python3", "/usr/libexec/platform-python", "/usr/bin/python"}
}

// handlers are the part handlers of one origin.
type handlers struct {
	b          *Boot
	instanceID string
	frequency  clouddir.Frequency
	types      map[string]string // content type → module
	modules    []string          // in the order in which they came
	count      int               // of those that the data brought

	cmd     *exec.Cmd
	send    *json.Encoder
	receive *json.Decoder
	files   []*os.File
}

// request is what the Python process is asked to do.
type request struct {
	Op         string             `json:"op"` // load, part, end
	Module     string             `json:"module"`
	Path       string             `json:"path,omitempty"`
	InstanceID string             `json:"instance_id"`
	Frequency  clouddir.Frequency `json:"frequency"`
	Type       string             `json:"type,omitempty"`
	Filename   string             `json:"filename,omitempty"`
	Payload    []byte             `json:"payload,omitempty"`
	Headers    map[string]string  `json:"headers,omitempty"`
}

// loadSite loads the handlers that the system's owner put down.
func (h *handlers) loadSite(ctx context.Context) {
	entries, _ := h.b.Root.ReadDir(siteHandlers)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".py")
		if !ok || name == "__init__" {
			continue
		}
		if err := h.load(ctx, name, path.Join(siteHandlers, e.Name())); err != nil {
			h.b.ignore("stages.py", fmt.Sprintf("Failed to register handler from %s: %v", e.Name(), err))
		}
	}
}

// add writes a handler that the data brought and loads it.
func (h *handlers) add(ctx context.Context, body []byte) error {
	name := fmt.Sprintf("part-handler-%03d", h.count)
	file := path.Join(clouddir.InstanceDir(h.instanceID), "handlers", name+".py")
	if err := h.b.Root.WriteFile(file, body, 0o600); err != nil {
		return err
	}
	if err := h.load(ctx, name, file); err != nil {
		return fmt.Errorf("failed at registering python file %s: %w", file, err)
	}
	h.count++
	return nil
}

func (h *handlers) load(ctx context.Context, name, file string) error {
	types, err := h.ask(ctx, request{Op: "load", Module: name, Path: file})
	if err != nil {
		return err
	}
	if h.types == nil {
		h.types = map[string]string{}
	}
	h.modules = append(h.modules, name)
	for _, t := range types {
		h.types[strings.ToLower(t)] = name
	}
	h.b.Log.Debug(fmt.Sprintf("Added custom handler for %v from %s", types, file), clouddir.Component, "stages.py")
	return nil
}

// takes tells whether a handler is registered for a content type.
func (h *handlers) takes(kind string) bool { return h.types[kind] != "" }

// part hands a part over.
func (h *handlers) part(ctx context.Context, p userdata.Part) error {
	headers := map[string]string{}
	for _, f := range p.Headers {
		headers[f.Name] = f.Value
	}
	headers["Content-Type"] = p.Type
	_, err := h.ask(ctx, request{Op: "part", Module: h.types[p.Type], Type: p.Type, Filename: p.Filename, Payload: p.Body, Headers: headers})
	return err
}

// close tells all handlers that it was the last part, and ends the process.
func (h *handlers) close(ctx context.Context) error {
	if h.cmd == nil {
		return nil
	}
	var errs []error
	for _, m := range slices.Compact(slices.Sorted(maps.Values(h.types))) {
		if _, err := h.ask(ctx, request{Op: "end", Module: m}); err != nil {
			errs = append(errs, fmt.Errorf("failed to finalize handler %s: %w", m, err))
		}
	}
	for _, f := range h.files {
		f.Close()
	}
	return errors.Join(append(errs, h.cmd.Wait())...)
}

// ask makes one call and waits for it.
func (h *handlers) ask(ctx context.Context, r request) ([]string, error) {
	if h.cmd == nil {
		if err := h.start(ctx); err != nil {
			return nil, err
		}
	}
	r.InstanceID, r.Frequency = h.instanceID, h.frequency
	if err := h.send.Encode(r); err != nil {
		return nil, fmt.Errorf("call part handler: %w", err)
	}
	var answer struct {
		Types []string
		Error string
	}
	if err := h.receive.Decode(&answer); err != nil {
		return nil, fmt.Errorf("part handler ended: %w", err)
	}
	if answer.Error != "" {
		return nil, errors.New(printable(answer.Error))
	}
	return answer.Types, nil
}

// errNoPython says why a part handler does not run.
var errNoPython = errors.New("part handlers are Python programs and there is no Python here (looked for " + strings.Join(pythons(), ", ") + ")")

// start starts the Python process inside the root.
func (h *handlers) start(ctx context.Context) error {
	i := slices.IndexFunc(pythons(), func(name string) bool {
		info, err := h.b.Root.Stat(name)
		return err == nil && info.Mode()&0o111 != 0
	})
	if i < 0 {
		return errNoPython
	}
	cmd := exec.CommandContext(ctx, pythons()[i], "-c", pythonDriver)
	cmd.Env, cmd.Dir = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"}, "/"
	cmd.Stdout, cmd.Stderr = h.b.Output, h.b.Output
	if dir := filepath.Clean(h.b.Root.Dir()); dir != "/" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir}
	}
	requests, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer requests.Close()
	out, answers, err := os.Pipe()
	if err != nil {
		in.Close()
		return err
	}
	defer answers.Close()
	cmd.ExtraFiles = []*os.File{requests, answers}
	if err := cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	h.cmd, h.files = cmd, []*os.File{in, out}
	h.send, h.receive = json.NewEncoder(in), json.NewDecoder(out)
	return nil
}
