package order

import "time"

// Vitals is how an installation stands, for its metrics: counts and ages, and
// nothing that names a rider.
type Vitals struct {
	At time.Time // the database's clock
	// Orders counts those that are not settled or voided, by state.
	Orders map[State]int64
	// UnresolvedFor is for how long the oldest unresolved order has been so.
	UnresolvedFor time.Duration
	// Waiting counts pieces of evidence behind a gap; WaitingFor is the age of the
	// oldest.
	Waiting    int64
	WaitingFor time.Duration
	// Behind is how many pieces devices say they hold that are not applied yet.
	Behind int64
	// CommandsDue counts commands whose next send is due, DueFor is for how long the
	// oldest has been: the Dispatcher's lag.
	CommandsDue int64
	DueFor      time.Duration
	// Outbox counts updates that are not routed yet.
	Outbox int64
	// Payments counts those that are not done, by state; LateFor is for how long the
	// next step of the oldest has been due.
	Payments map[PaymentState]int64
	LateFor  time.Duration
	// Items counts open items by kind.
	Items map[string]int64
	// Alarms counts those that are open and not hidden, by severity.
	Alarms map[Severity]int64
	// Devices counts by service; Silent those in service that were not heard for ten
	// minutes.
	Devices map[string]int64
	Silent  int64
	// Audit is the newest audit that a replica ran by itself; zero = none yet.
	Audit AuditRun
}

// AuditRun is what an audit found.
type AuditRun struct {
	At       time.Time
	Took     time.Duration
	Findings map[string]int // by view; zeros are named
}
