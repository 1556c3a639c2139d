package compute

import (
	"strings"
	"testing"
	"time"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
)

func TestServerPassword(t *testing.T) {
	store := apitest.NewStore(time.Now)
	store.Seed(&cloud.Server{ServerID: "s", ProjectID: "p", Host: "node1"})
	role := New(Options{Store: store, Auth: apitest.Callers{
		"user": {UserID: "u", ProjectID: "p", Roles: []string{"member"}}, "other": {UserID: "o", ProjectID: "q"},
		"service": {UserID: "s", ProjectID: "q", Roles: []string{"admin"}},
	}})
	as := func(token string) *apitest.Client { return apitest.NewClient(t, role.Handler(), token) }
	const path = "/v2.1/servers/s/os-server-password"
	shows := func(want string) {
		t.Helper()
		if got := as("user").Do("GET", path, nil).Want(200).Text("password"); got != want {
			t.Errorf("the password is %q, want %q", got, want)
		}
	}
	shows("")
	password := map[string]any{"password": "c2VjcmV0\n"}
	as("user").Do("POST", path, password).Want(403)
	as("service").Do("POST", path, map[string]any{"password": strings.Repeat("x", maxPassword+1)}).Want(400)
	as("service").Do("POST", path, map[string]any{}).Want(400)
	as("service").Do("POST", "/v2.1/servers/none/os-server-password", password).Want(404)
	as("service").Do("POST", path, password).Want(204)
	shows("c2VjcmV0\n")
	as("service").Do("POST", path, map[string]any{"password": "another"}).Want(409)
	shows("c2VjcmV0\n")
	as("other").Do("GET", path, nil).Want(404)
	as("other").Do("DELETE", path, nil).Want(404)
	as("user").Do("DELETE", path, nil).Want(204)
	shows("")
}
