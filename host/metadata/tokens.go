package metadata

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Tokens gives the token of a service user. renew asks for a new one, because
// the one given before was refused. Safe for concurrent use.
type Tokens interface {
	Token(ctx context.Context, renew bool) (string, error)
}

// Keystone gets tokens with a password. keystone: v3 API, POST /auth/tokens.
type Keystone struct {
	AuthURL       string // with or without /v3
	Username      string
	Password      string
	UserDomain    string // name
	Project       string
	ProjectDomain string       // name
	Client        *http.Client // nil is the default one

	mu      sync.Mutex
	token   string
	expires time.Time
}

// A token is renewed this long before its end, and not more often than that.
const (
	tokenMargin = time.Minute
	maxToken    = 64 << 10 // bytes of the answer
)

// Token meets [Tokens].
func (k *Keystone) Token(ctx context.Context, renew bool) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.token != "" && !renew && time.Until(k.expires) > tokenMargin {
		return k.token, nil
	}
	token, expires, err := k.login(ctx)
	if err != nil {
		return "", fmt.Errorf("token for vendor data: %w", err)
	}
	k.token, k.expires = token, expires
	return token, nil
}

func (k *Keystone) login(ctx context.Context) (string, time.Time, error) {
	type domain struct {
		Name string `json:"name"`
	}
	var question struct {
		Auth struct {
			Identity struct {
				Methods  []string `json:"methods"`
				Password struct {
					User struct {
						Name     string `json:"name"`
						Domain   domain `json:"domain"`
						Password string `json:"password"`
					} `json:"user"`
				} `json:"password"`
			} `json:"identity"`
			Scope struct {
				Project struct {
					Name   string `json:"name"`
					Domain domain `json:"domain"`
				} `json:"project"`
			} `json:"scope"`
		} `json:"auth"`
	}
	a := &question.Auth
	a.Identity.Methods = []string{"password"}
	user := &a.Identity.Password.User
	user.Name, user.Domain.Name, user.Password = k.Username, k.UserDomain, k.Password
	a.Scope.Project.Name, a.Scope.Project.Domain.Name = k.Project, k.ProjectDomain
	body, err := json.Marshal(question)
	if err != nil {
		return "", time.Time{}, err
	}
	url := strings.TrimSuffix(strings.TrimSuffix(k.AuthURL, "/"), "/v3") + "/v3/auth/tokens"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", time.Time{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	client := k.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return "", time.Time{}, err
	}
	defer res.Body.Close()
	return readToken(res)
}

func readToken(res *http.Response) (string, time.Time, error) {
	var answer struct {
		Token struct {
			ExpiresAt time.Time `json:"expires_at"`
		} `json:"token"`
	}
	token := res.Header.Get("X-Subject-Token")
	if res.StatusCode != http.StatusCreated || token == "" {
		return "", time.Time{}, fmt.Errorf("the identity service answered %d", res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxToken)).Decode(&answer); err != nil {
		return "", time.Time{}, fmt.Errorf("the identity service's answer: %w", err)
	}
	return token, answer.Token.ExpiresAt, nil
}
