package cloud

// Project owns everything else; projects never see each other's things.
// keystone: resource/schema.py, 22.0.0.
type Project struct {
	Meta
	ProjectID   ProjectID `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Disabled    bool      `json:"disabled,omitempty"`
}

// User can ask for a token.
type User struct {
	Meta
	UserID UserID `json:"id"`
	Name   string `json:"name"`
	// PasswordHash is a crypt(3) string; the password itself is never kept.
	PasswordHash string `json:"password_hash"`
	// Roles lists the user's roles (admin, member, reader) by project.
	Roles    map[ProjectID][]string `json:"roles"`
	Disabled bool                   `json:"disabled,omitempty"`
}

// DomainID and DomainName are those of the one identity domain.
const (
	DomainID   = "default"
	DomainName = "Default"
)

func (p *Project) Kind() RecordKind { return KindProject }
func (p *Project) ID() string       { return string(p.ProjectID) }

// Claims: the name is unique in the domain.
func (p *Project) Claims() []Claim { return []Claim{claim("project-name", p.Name)} }

func (u *User) Kind() RecordKind { return KindUser }
func (u *User) ID() string       { return string(u.UserID) }

// Claims: the name is unique in the domain.
func (u *User) Claims() []Claim { return []Claim{claim("user-name", u.Name)} }

// Caller is who makes a request, as its token says.
type Caller struct {
	UserID    UserID
	UserName  string
	ProjectID ProjectID
	Roles     []string
}

// Admin reports whether the caller has the role admin.
func (c Caller) Admin() bool {
	for _, r := range c.Roles {
		if r == "admin" {
			return true
		}
	}
	return false
}

// Sees reports whether the caller may see what belongs to project p.
func (c Caller) Sees(p ProjectID) bool { return c.ProjectID == p || c.Admin() }
