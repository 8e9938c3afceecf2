package order

import (
	"slices"
	"time"
)

// Staff is a person or program that works for the operator.
type Staff struct {
	ID   string
	Name string
	// Role and Venues are what this member may do here and now: of who came with a key,
	// what both the key and its owner may. Venues nil means all; it is never empty.
	Role   Role
	Venues []string
	Login  string // the id of the login that they came with; "" with a key
	// LoginAge is for how long they have been signed in, by the database's clock.
	LoginAge time.Duration
	// What follows is filled in by lists alone.
	Disabled *time.Time
	Password bool // they have one
	Passkeys int  // in force
	Seen     *time.Time
}

// StaffName is who a member's id stands for.
type StaffName struct {
	ID       string
	Name     string
	Disabled bool
}

// Within tells whether the member sees what belongs to the venue.
func (s Staff) Within(venue string) bool { return s.Venues == nil || slices.Contains(s.Venues, venue) }

// roleRank orders the roles; what is missing ranks lowest.
var roleRank = map[Role]int{Viewer: 1, Field: 2, Finance: 3, Admin: 4}

// Includes tells whether who has the role may do what the least one demands. A role
// that is unknown includes nothing, and nothing includes it.
func (r Role) Includes(least Role) bool { return roleRank[least] > 0 && roleRank[r] >= roleRank[least] }

// Bounded is the member with at most the role and the venues of the key that they
// came with.
func (s Staff) Bounded(role Role, venues []string) Staff {
	if !role.Includes(s.Role) {
		s.Role = role
	}
	switch {
	case venues == nil:
	case s.Venues == nil:
		s.Venues = venues
	default:
		both := []string{}
		for _, v := range venues {
			if slices.Contains(s.Venues, v) {
				both = append(both, v)
			}
		}
		s.Venues = both
	}
	return s
}

// StaffLogin is a member's sign-in at one browser.
type StaffLogin struct {
	ID      string
	Staff   string
	Name    string // of the member
	How     string // LoginPassword or LoginPasskey
	Created time.Time
	Seen    time.Time // to the minute
	Agent   string    // the browser's own word, at most 300 characters
	Address string    // the source, an IPv6 one as its /64
	Revoked *time.Time
}

// How a login began.
const (
	LoginPassword = "password"
	LoginPasskey  = "passkey"
)

// Passkey is a member's WebAuthn credential.
type Passkey struct {
	ID         string
	Staff      string
	Label      string
	Credential []byte // its id, as the authenticator names it
	Record     []byte // JSON: public key, flags, sign counter
	Created    time.Time
	LastUsed   *time.Time
	Revoked    *time.Time
}

// NewLogin is a login to store: for how long it lasts at most, and the SHA-256 of the
// secret that its cookie holds.
type NewLogin struct {
	StaffLogin
	Hash [32]byte
	Life time.Duration
	// Instead is the hash of the login that the browser came with, which ends; zero: none.
	Instead [32]byte
}
