package identity

import (
	"context"
	"fmt"

	"imprint/host/api"
	"imprint/host/cloud"
)

// AdminName is the name of the first project and of the first user.
const AdminName = "admin"

// Bootstrap makes the project admin and the user admin with the role admin in
// it, if there is no user at all. A project of that name that is there already
// is used. Several processes may call it at once.
func Bootstrap(ctx context.Context, store Store, password string) error {
	if password == "" {
		return fmt.Errorf("bootstrap identity: the administrator needs a password")
	}
	hash, err := HashPassword(password)
	if err != nil {
		return fmt.Errorf("bootstrap identity: %w", err)
	}
	err = api.NewWriter(store).Change(ctx, func(m *cloud.Model) (cloud.Txn, error) {
		if len(m.Users) > 0 {
			return cloud.Txn{}, nil
		}
		var tx cloud.Txn
		project := findProject(m, named{name: AdminName})
		if project == nil {
			project = &cloud.Project{ProjectID: cloud.ProjectID(cloud.NewHexID()), Name: AdminName,
				Description: "Bootstrap project for initializing the cloud."}
			tx.Put = append(tx.Put, project)
		}
		tx.Put = append(tx.Put, &cloud.User{UserID: cloud.UserID(cloud.NewHexID()), Name: AdminName, PasswordHash: hash,
			Roles: map[cloud.ProjectID][]string{project.ProjectID: roleNames()}})
		return tx, nil
	})
	if err != nil {
		return fmt.Errorf("bootstrap identity: %w", err)
	}
	return nil
}
