package order

import "time"

// AuditQuery picks privileged acts; what is zero filters nothing.
type AuditQuery struct {
	After    string // id at which the page before ended; newer ones are left out
	Staff    string // the member's id
	Act      string // begins with
	Object   string // holds; upper and lower case are the same
	Text     string // object, reason, before or after hold it
	From, To time.Time
}

// AuditRow is an act with the name of who did it, "" where no member did.
type AuditRow struct {
	Audit
	Name string
}
