package blob

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"imprint/host/cloud"
)

// Limits of the handler: answers on the way, in all and for one peer, and the
// time that a piece may take, which makes 8 KiB/s the slowest reader.
const (
	maxReads     = 128
	maxPeerReads = 16
	piece        = 256 << 10
	pieceTimeout = 32 * time.Second
)

// Access says who may read what. Both functions are called from several
// goroutines, for every request anew.
type Access struct {
	// Peer names who is at the other end of a verified TLS connection; an error
	// refuses it.
	Peer func(tls.ConnectionState) (string, error)
	// Allow says whether the peer of that name may read the blob d.
	Allow func(peer string, d cloud.Digest) bool
}

// Handler serves the blobs of s over TLS: GET /blobs/<digest> gives all of a
// blob's bytes. What the peer may not read it is refused with 403, whether it
// exists or not; too many reads at once are 503. A nil log discards.
func Handler(s *Store, access Access, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &handler{store: s, access: access, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /blobs/{digest}", h.get)
	return mux
}

type handler struct {
	store  *Store
	access Access
	log    *slog.Logger
	reads  reads
}

func (h *handler) get(w http.ResponseWriter, r *http.Request) {
	d := cloud.Digest(r.PathValue("digest"))
	peer, ok := h.allowed(r, d)
	if !ok {
		http.Error(w, "this blob is not for you", http.StatusForbidden)
		return
	}
	if !h.reads.enter(peer) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many reads at once", http.StatusServiceUnavailable)
		return
	}
	defer h.reads.leave(peer)
	body, size, err := h.store.Open(d)
	if cloud.KindOf(err) == cloud.NotFound {
		http.Error(w, "there is no such blob", http.StatusNotFound)
		return
	}
	if err != nil {
		h.log.Error("blob not read", "digest", d, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	defer body.Close()
	if err := send(w, r.Method, body, size); err != nil {
		h.log.Info("blob not sent", "digest", d, "peer", peer, "error", err)
		panic(http.ErrAbortHandler) // so that nobody takes a part for the whole
	}
}

// allowed returns who asks, and whether for a blob that it may read.
func (h *handler) allowed(r *http.Request, d cloud.Digest) (string, bool) {
	if r.TLS == nil || !d.Valid() {
		return "", false
	}
	peer, err := h.access.Peer(*r.TLS)
	if err != nil {
		h.log.Warn("blob refused", "remote", r.RemoteAddr, "error", err)
		return "", false
	}
	if !h.access.Allow(peer, d) {
		h.log.Warn("blob refused", "digest", d, "peer", peer)
		return "", false
	}
	return peer, true
}

func send(w http.ResponseWriter, method string, body io.Reader, size int64) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	if method == http.MethodHead {
		return nil
	}
	c := http.NewResponseController(w)
	for left := size; left > 0; left -= piece {
		if err := c.SetWriteDeadline(time.Now().Add(pieceTimeout)); err != nil {
			return err
		}
		if _, err := io.CopyN(w, body, min(left, piece)); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}

// reads counts the answers on the way. Safe for concurrent use.
type reads struct {
	mu    sync.Mutex
	all   int
	peers map[string]int
}

func (r *reads) enter(peer string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all >= maxReads || r.peers[peer] >= maxPeerReads {
		return false
	}
	if r.peers == nil {
		r.peers = map[string]int{}
	}
	r.all++
	r.peers[peer]++
	return true
}

func (r *reads) leave(peer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.peers[peer]--; r.peers[peer] == 0 {
		delete(r.peers, peer)
	}
}
