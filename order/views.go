package order

import (
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// What is read and written besides the use cases. These types stand here because
// both the store, which fills them, and the API, which shows them, know this
// package and not each other.

// Page is a list of orders, newest first. After is the cursor: the id of the
// last order of the page before, "" for the first page. Empty fields filter
// nothing.
type Page struct {
	Rider  string
	Venue  string
	Venues []string // whatever is elsewhere is left out; nil = nothing is
	State  State
	Device device.ID
	Kind   device.Kind
	From   time.Time // begun from then
	To     time.Time // until before then
	Review bool      // only those that staff should look at
	After  string
	Limit  int // 1..500
}

// PaymentPage is a list of payments, newest first; see Page.
type PaymentPage struct {
	Rider string
	Order string
	State PaymentState
	For   PaymentFor
	After string
	Limit int // 1..500
}

// DebtRow is what a rider has not paid of one order.
type DebtRow struct {
	Rider  string
	Order  string
	Amount billing.Fen
	Since  time.Time
	Score  bool      // WeChat is collecting it; else the next top-up pays it
	NextAt time.Time // of Score: when WeChat is asked again
	Blocks bool
}

// Purse is a rider's money.
type Purse struct {
	Balance   billing.Fen
	Held      billing.Fen
	Available billing.Fen
	Debt      billing.Fen
}

// TariffRow is one version of a tariff with where and from when it counts.
type TariffRow struct {
	Tariff      billing.Tariff
	Venue       string
	Kind        device.Kind
	Group       string // of riders; "" = everybody without one of their own
	EffectiveAt time.Time
}

// PastQuery picks settled orders for a replay: of one kind at one venue, settled in
// [From, To), and, where Tariff names one, billed by it.
type PastQuery struct {
	Venue    string
	Kind     device.Kind
	Tariff   string
	From, To time.Time
	Most     int // more than so many are ErrTooMany
}

// PastLead is how long before From orders are read besides, since they fill the cap of a
// day that From cuts.
const PastLead = 36 * time.Hour

// RiderRow is what staff see of a rider; no identity.
type RiderRow struct {
	ID      string
	Blocked bool
	Group   string
	Since   time.Time
	Erased  *time.Time // nil: they are not
}

// ItemRow is an open item as staff see it.
type ItemRow struct {
	Item
	ClosedAt  *time.Time
	ClosedBy  string
	Owner     string // the member who deals with it; "" = nobody yet
	OwnerName string
}

// FaultRow is a rider's report of a fault; its subject is
// "{device}/{outlet}/{kind}/{rider}".
type FaultRow struct {
	ItemRow
	Photo bool // there is one
}

// Unheard is a device that has to say where it stands, and an outlet to ask it by.
type Unheard struct {
	Device device.ID
	Outlet uint8
}

// DeviceRow is a device with its outlets and where it stands, WGS-84 degrees.
type DeviceRow struct {
	Device   device.Device
	Outlets  []device.Outlet
	Lat, Lng *float64
	PlacedAt *time.Time // when it, or staff, said so; nil: before anybody noted when
}

// DeviceAt is where a device says that it is, WGS-84 degrees. Nothing has signed it.
type DeviceAt struct {
	Device device.ID
	Point
}

// Stood is where a device was at a moment of the database's clock.
type Stood struct {
	Point
	At time.Time
}

// RiderQuery finds riders; what is empty asks nothing. From and To belong together: who
// used something in [From, To), of Device where it is named.
type RiderQuery struct {
	Phone    string // with its country, digits behind a +
	Order    string
	Device   device.ID
	From, To time.Time
	Limit    int
}

// RiderFile is what is kept of a rider besides orders, payments and passes. No
// identity: only that there is one.
type RiderFile struct {
	RiderRow
	Identified bool   // a WeChat identity is kept, encrypted
	Phone      string // the number that they gave; "" = none
	Logins     []RiderLogin
	Transfers  []RiderTransfer
	Faults     []FaultRow
	Tracks     []Track
	Messages   int // that wait to be sent

	Reservations []Reservation // of the last weeks, newest first
}

// Erase makes whoever a rider was unknown, for good.
type Erase struct {
	Rider string
	// Forfeit: what is left in the wallet falls to the operator; else it stands against it.
	Forfeit bool
	Audit   Audit
}

// RiderLogin is a rider's token; the token itself is never stored.
type RiderLogin struct {
	Expires time.Time
	Revoked *time.Time
}

// RiderTransfer is a transfer that a rider's wallet or debt is a party of.
type RiderTransfer struct {
	billing.Transfer
	At time.Time
}

// Track is where a device said that it was during a rider's order.
type Track struct {
	Order string
	Stood
}

// Live is what an outlet's display showed lately: unsigned, for eyes only. Nothing
// is billed from it and no order moves on it.
type Live struct {
	State       string    `json:"state"` // a word of the wire contract, such as "fuelling"
	Millilitres int64     `json:"ml"`
	Fen         int64     `json:"fen"`
	Uptime      uint64    `json:"uptime"` // of the device, ms: tells figures apart
	At          time.Time `json:"at"`     // when it came in
}

// Login is what a broker needs to know of a device to let it in.
type Login struct {
	ID      device.ID
	Epoch   uint32
	Retired bool
}

// Role is what a member of staff may do; each includes the ones before it.
type Role string

// Viewer reads. Field also repairs devices. Finance also moves money. Admin also
// makes staff, keys, tariffs and venues.
const (
	Viewer  Role = "viewer"
	Field   Role = "field"
	Finance Role = "finance"
	Admin   Role = "admin"
)

// APIKey is a staff member's key; the key itself is never stored.
type APIKey struct {
	ID       string
	Staff    string
	Label    string
	Role     Role
	Venues   []string // it may ask about; nil = all. At most its owner's count
	Created  time.Time
	LastUsed *time.Time
	Revoked  *time.Time
}
