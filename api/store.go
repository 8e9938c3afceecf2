package api

import (
	"context"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Store is everything that the API reads and writes besides the use cases of
// order. order.ErrNotFound, order.ErrExists, order.ErrUnknown and
// order.ErrInvalid are the errors that callers tell apart. A write that takes an
// order.Audit stores it in the same transaction; ID and At are set by the API.
type Store interface {
	Tokens
	Riders
	Orders
	Venues
	Tariffs
	Closes
	Taxes
	Devices
	Journals
	DevicePages
	Finder
	Codes
	Batches
	Members
	Keys
	Logins
	Passkeys
	Scopes
	Items
	Faults
	Figures
	Audits
	Payments
	Passes
	Reservations
	Watch
	Hooks
	BulkJobs
	RefundRequests
	Preferences
	ScanCounts
}

// Payments are money on its way through WeChat; order.Service moves them.
type Payments interface {
	Payments(ctx context.Context, p order.PaymentPage) ([]order.Payment, error)
	Payment(ctx context.Context, id string) (order.Payment, error)
	// AddNotice keeps a verified notification; one that is there already stays as it is.
	AddNotice(ctx context.Context, said billing.Said, event string) error
	// Debts lists what is unpaid, oldest first; an empty rider means everybody's.
	Debts(ctx context.Context, rider string, limit int) ([]order.DebtRow, error)
	BillDays(ctx context.Context, limit int) ([]order.BillDay, error)
}

// Tokens are riders' logins, known by the SHA-256 of their text.
type Tokens interface {
	// RiderByIdentity returns the id of the rider whom the login provider names
	// so, and makes one at the first login.
	RiderByIdentity(ctx context.Context, identity string) (string, error)
	AddToken(ctx context.Context, rider string, hash [32]byte, life time.Duration) error
	// RiderByToken returns order.ErrNotFound for what is unknown, old or revoked.
	RiderByToken(ctx context.Context, hash [32]byte) (string, error)
	// RevokeTokens ends one token, or all of the rider's when hash is nil.
	RevokeTokens(ctx context.Context, rider string, hash *[32]byte) error
}

// Riders are read and blocked here; their money moves through order.Service.
type Riders interface {
	Wallet(ctx context.Context, rider string) (order.Purse, error)
	Riders(ctx context.Context, after string, limit int) ([]order.RiderRow, error)
	// Rider returns order.ErrNotFound where there is none.
	Rider(ctx context.Context, id string) (order.RiderRow, error)
	// SetPhone keeps a number, "+" and digits; "" forgets it.
	SetPhone(ctx context.Context, rider, number string) error
	// Phone is the number that a rider gave, "" = none.
	Phone(ctx context.Context, rider string) (string, error)
	// FindRiders lists who a question is about, newest first.
	FindRiders(ctx context.Context, q order.RiderQuery, a order.Audit) ([]order.RiderRow, error)
	BlockRider(ctx context.Context, rider string, blocked bool, a order.Audit) error
	// RiderFile is what is kept of a rider besides orders, payments and passes; a is nil
	// where they ask themselves.
	RiderFile(ctx context.Context, rider string, a *order.Audit) (order.RiderFile, error)
	// EraseRider returns order.ErrRiderErased when it was done before, and
	// order.ErrEraseLive, ErrEraseMoney, ErrErasePayment or ErrDebt when it cannot be.
	EraseRider(ctx context.Context, e order.Erase) error
}

// Orders are read here; order.Service moves them.
type Orders interface {
	Orders(ctx context.Context, p order.Page) ([]order.Order, error)
	Order(ctx context.Context, id string) (order.Order, error)
	// OrdersByID returns those that exist, in no order.
	OrdersByID(ctx context.Context, ids []string) ([]order.Order, error)
	Moves(ctx context.Context, id string) ([]order.Move, error)
	// OrderActs lists what staff did to an order and to its money, oldest first, by the
	// audit.
	OrderActs(ctx context.Context, id string) ([]order.AuditRow, error)
}

// Venues are places; there are few enough to list them all.
type Venues interface {
	Venues(ctx context.Context) ([]order.Venue, error)
	PutVenue(ctx context.Context, v order.Venue, a order.Audit) error
}

// Tariffs are versioned: adding one never changes another.
type Tariffs interface {
	Tariffs(ctx context.Context) ([]order.TariffRow, error)
	AddTariff(ctx context.Context, r order.TariffRow, a order.Audit) (billing.Tariff, error)
	// Past are the settled orders that a draft is replayed over; order.ErrTooMany.
	Past(ctx context.Context, q order.PastQuery) ([]billing.Past, error)
	// Prices are what a venue's tariffs are now and will be.
	Prices(ctx context.Context, venue string) (order.PriceList, error)
}

// Closes are what a venue sold of fuel, shift by shift and day by day.
type Closes interface {
	// TakeClose closes a period, or returns what the key has answered before;
	// order.ErrKeyReused when the key belongs to another request.
	TakeClose(ctx context.Context, c order.TakeClose) (status int, answer []byte, err error)
	// PreviewClose is what a close would hold now; nothing is stored.
	PreviewClose(ctx context.Context, venue string, period order.Period) (order.Close, error)
	// Closes lists newest first; period and after filter unless empty.
	Closes(ctx context.Context, venue string, period order.Period, after string, limit int) ([]order.Close, error)
	CloseByID(ctx context.Context, venue, id string) (order.Close, error)
}

// Taxes are what invoices need.
type Taxes interface {
	// TaxRows hands the sales and refunds of [from, to) to row, oldest first; an error
	// of row ends it.
	TaxRows(ctx context.Context, venue string, from, to time.Time, row func(order.TaxRow) error) error
}

// Devices are read and placed here; order.Service provisions them.
type Devices interface {
	// Devices lists by id. id picks one; venue and after filter unless empty.
	Devices(ctx context.Context, id device.ID, venue string, after device.ID, limit int) ([]order.DeviceRow, error)
	// Position is in WGS-84 degrees; known is false when nobody said.
	Position(ctx context.Context, id device.ID) (lat, lng float64, known bool, err error)
	// Positions lists where a device said that it was, newest first, for as long as that
	// is kept.
	Positions(ctx context.Context, id device.ID, since time.Time, limit int) ([]order.Stood, error)
	// LastUses is when the newest use of each of a venue's devices began, by the database's
	// clock; devices without one are absent.
	LastUses(ctx context.Context, venue string) (map[device.ID]time.Time, error)
	// PlaceDevice notes it beside another act; MoveDevice is an act of its own.
	PlaceDevice(ctx context.Context, id device.ID, lat, lng float64) error
	MoveDevice(ctx context.Context, id device.ID, lat, lng float64, a order.Audit) error
}

// Journals are what went to a device and what it said, newest first.
type Journals interface {
	// VenueSince is the zero time for a device that never was elsewhere.
	VenueSince(ctx context.Context, id device.ID) (time.Time, error)
	// Of a device's past since a moment; the zero time = all of it.
	CommandsOf(ctx context.Context, id device.ID, since time.Time, limit int) ([]device.Command, error)
	EvidenceOf(ctx context.Context, id device.ID, since time.Time, limit int) ([]device.Evidence, error)
}

// Codes are printed numbers.
type Codes interface {
	Code(ctx context.Context, number string) (order.Code, error)
	Codes(ctx context.Context, id device.ID, limit int) ([]order.Code, error)
	// AddCode returns order.ErrExists when the number is taken: mint another.
	AddCode(ctx context.Context, c order.Code, a order.Audit) error
	RevokeCode(ctx context.Context, number string, a order.Audit) error
	// ReplaceCode revokes a code in use and adds number in its place, both or
	// neither; order.ErrCodeRevoked when it is not in use.
	ReplaceCode(ctx context.Context, old, number string, a order.Audit) (order.Code, error)
	// BindCode hangs a code on an outlet; SwapCodes hangs two each on the other's.
	// order.ErrCodeBound, order.ErrCodeVenue, order.ErrOutletBusy and more.
	BindCode(ctx context.Context, b order.BindCode) (order.Code, error)
	SwapCodes(ctx context.Context, one, other string, a order.Audit) ([2]order.Code, error)
}

// Batches are codes that were minted to be printed together.
type Batches interface {
	// AddBatch mints a batch, or returns what the key has answered before;
	// order.ErrKeyReused when the key belongs to another request.
	AddBatch(ctx context.Context, add order.AddBatch) (status int, answer []byte, err error)
	// Batches lists newest first; venues filter unless nil, after unless empty.
	Batches(ctx context.Context, venues []string, after string, limit int) ([]order.CodeBatch, error)
	Batch(ctx context.Context, id string) (order.CodeBatch, error)
	// BatchCodes lists by label, behind the one that the page before ended with.
	BatchCodes(ctx context.Context, id string, label int, number string, limit int) ([]order.Code, error)
}

// Members are the operator's people and programs.
type Members interface {
	StaffByKey(ctx context.Context, hash [32]byte) (order.Staff, error)
	// StaffList lists all members by name.
	StaffList(ctx context.Context) ([]order.Staff, error)
	// StaffNames lists who is called what, by name.
	StaffNames(ctx context.Context) ([]order.StaffName, error)
	StaffByID(ctx context.Context, id string) (order.Staff, error)
	// ChangeStaff replaces role, venues and disabled; order.ErrNotFound, order.ErrLastAdmin.
	ChangeStaff(ctx context.Context, s order.Staff, disabled bool, a order.Audit) error
	AddStaff(ctx context.Context, s order.Staff, key order.APIKey, keyHash [32]byte, a order.Audit) error
	// UseFirstRun spends the one-time link; order.ErrNotFound when it is unknown,
	// used or too old, or there are members already.
	UseFirstRun(ctx context.Context, link [32]byte, s order.Staff, key order.APIKey, keyHash [32]byte, a order.Audit) error
}

// Keys are members' API keys, known by the SHA-256 of their text.
type Keys interface {
	APIKeys(ctx context.Context) ([]order.APIKey, error)
	AddAPIKey(ctx context.Context, key order.APIKey, hash [32]byte, a order.Audit) error
	RevokeAPIKey(ctx context.Context, id string, a order.Audit) error
}

// Items are what staff must look at.
type Items interface {
	// Items lists those that are open, oldest first, or all, newest first. An empty
	// kind filters nothing, nor do nil venues.
	Items(ctx context.Context, all bool, kind string, venues []string, limit int) ([]order.ItemRow, error)
	CloseItem(ctx context.Context, id string, a order.Audit) error
	// AssignItem says who deals with it, "" = nobody; order.ErrNotFound, order.ErrUnknown.
	AssignItem(ctx context.Context, id, owner string, a order.Audit) error
}

// Watch are alarms.
type Watch interface {
	Alarms(ctx context.Context, p order.AlarmPage) ([]order.Alarm, error)
	// ActOnAlarm keeps to the venues, nil = all. order.ErrNotFound, order.ErrWrongState.
	ActOnAlarm(ctx context.Context, act order.AlarmAct, venues []string) (order.Alarm, error)
}

// Hooks are webhooks; whoever sends works on the same rows.
type Hooks interface {
	Webhooks(ctx context.Context) ([]order.Webhook, error)
	AddWebhook(ctx context.Context, w order.Webhook, secret []byte, a order.Audit) error
	PutWebhook(ctx context.Context, w order.Webhook, a order.Audit) error
	RotateWebhook(ctx context.Context, id string, secret []byte, overlap time.Duration, a order.Audit) error
	RemoveWebhook(ctx context.Context, id string, a order.Audit) error
	TestWebhook(ctx context.Context, id, event string, body []byte, a order.Audit) error
	Deliveries(ctx context.Context, webhook, after string, limit int) ([]order.Delivery, error)
	ReplayDelivery(ctx context.Context, webhook, id string, a order.Audit) error
}

// BulkJobs are acts on many devices; order.Bulks carries them out.
type BulkJobs interface {
	// Answered returns what a key has answered before; status 0: nothing. order.ErrKeyReused.
	Answered(ctx context.Context, key order.Key) (status int, answer []byte, err error)
	AddBulk(ctx context.Context, b order.Bulk, devices []device.ID, key order.Key, a order.Audit) (status int, answer []byte, err error)
	Bulks(ctx context.Context, after string, limit int) ([]order.Bulk, error)
	BulkByID(ctx context.Context, id string) (order.Bulk, error)
	BulkResults(ctx context.Context, id string, state order.BulkState, after, limit int) ([]order.BulkResult, error)
	HaltBulk(ctx context.Context, id string, a order.Audit) error
}

// RefundRequests are refunds that need a second person; order.Service gives them.
type RefundRequests interface {
	// AddRefundRequest: order.ErrExists while another one of the order is open.
	AddRefundRequest(ctx context.Context, r order.RefundRequest, key order.Key, a order.Audit) (status int, answer []byte, err error)
	RefundRequests(ctx context.Context, p order.RefundPage) ([]order.RefundRequest, error)
	RefundRequest(ctx context.Context, id string) (order.RefundRequest, error)
	// FailRefund ends a request whose money cannot be given any more, with the audit's
	// reason.
	FailRefund(ctx context.Context, id string, a order.Audit) error
	// DeclineRefund ends one whose money did not move; order.ErrWrongState.
	DeclineRefund(ctx context.Context, id string, a order.Audit) error
}

// Preferences are what the operator sets while it runs.
type Preferences interface {
	Preferences(ctx context.Context) (order.Preferences, error)
	// PutPreferences: order.ErrWrongState when others were set since.
	PutPreferences(ctx context.Context, p order.Preferences, a order.Audit) error
	VenueMap(ctx context.Context, venue string) (order.VenueMap, error)
	VenueImage(ctx context.Context, venue string) (image []byte, kind string, err error)
	PutVenueMap(ctx context.Context, venue string, m order.VenueMap, a order.Audit) error
	PutVenueImage(ctx context.Context, venue string, image []byte, kind string, a order.Audit) error
}

// ScanCounts are how often codes are scanned, for eyes only.
type ScanCounts interface {
	AddScans(ctx context.Context, notes []order.ScanNote) error
	// Suspects are the most telling first; venues nil = all.
	Suspects(ctx context.Context, venue string, venues []string, limit int) ([]order.Suspect, error)
}

// Figures are what is read of many orders, for eyes only.
type Figures interface {
	// Statistics reads how a span went. order.ErrTooMany: it is too long.
	Statistics(ctx context.Context, q order.StatisticsQuery) (order.Statistics, error)
}

// Faults are riders' reports, each an item of kind order.ItemFault, with a photo or
// without.
type Faults interface {
	// ReportFault opens a report and returns its id: that of the open one of the same
	// subject, where there is one.
	ReportFault(ctx context.Context, i order.Item) (id string, err error)
	// Faults lists the open ones, oldest first, or all, newest first. Venues
	// filter unless nil.
	Faults(ctx context.Context, all bool, venues []string, limit int) ([]order.FaultRow, error)
	// TakesPhoto tells whether KeepPhoto would keep one; its errors are the same.
	TakesPhoto(ctx context.Context, rider, id string, since time.Time, most int) error
	// KeepPhoto keeps a JPEG of at most 2 MiB with a rider's own open report.
	// order.ErrNotFound: there is no such report. order.ErrTooMany: they sent most photos,
	// of other reports, since the moment.
	KeepPhoto(ctx context.Context, rider, id string, image []byte, since time.Time, most int) error
	// Photo is a report's; of the rider's own where one is named. order.ErrNotFound.
	Photo(ctx context.Context, id, rider string) ([]byte, error)
}

// Audits are privileged acts, newest first.
type Audits interface {
	Audits(ctx context.Context, q order.AuditQuery, limit int) ([]order.AuditRow, error)
}
