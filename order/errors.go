package order

import (
	"errors"

	"github.com/unlatch/unlatch/billing"
)

// What a use case may refuse. Each is a fact about the world, not a fault; api
// maps them to problems in one table.
var (
	ErrNotFound        = errors.New("there is no such order")
	ErrTicketInvalid   = errors.New("the ticket was not made here or was altered")
	ErrTicketExpired   = errors.New("the ticket is older than its life")
	ErrTicketUsed      = errors.New("the ticket was used already")
	ErrTicketForeign   = errors.New("the ticket belongs to another rider")
	ErrTicketStale     = errors.New("the tariff or the device changed since the scan")
	ErrCodeRevoked     = errors.New("the code is no longer in use")
	ErrCodeUnbound     = errors.New("the code is not bound to a device yet")
	ErrOutletBusy      = errors.New("another order is live on this outlet")
	ErrReserved        = errors.New("the outlet is kept for another rider")
	ErrReserving       = errors.New("the rider has reserved another one already")
	ErrReserveMost     = errors.New("too many reservations of today went unused")
	ErrNoReservations  = errors.New("there are no reservations here")
	ErrOutletOpen      = errors.New("the device says that the outlet is open")
	ErrOutletBlocked   = errors.New("the outlet waits for its device's word on an earlier order")
	ErrNotInService    = errors.New("the device is not in service")
	ErrVenueClosed     = errors.New("the venue takes no orders now")
	ErrStopped         = errors.New("an emergency stop is in force; only a hand at the device ends it")
	ErrKioskOnly       = errors.New("this venue starts at the kiosk only")
	ErrSpendingCap     = errors.New("the day's limit for printed codes does not leave that much; choose less or scan the code on the screen")
	ErrPreset          = billing.ErrPreset
	ErrOffline         = errors.New("the device has not been heard lately")
	ErrBatteryLow      = errors.New("the device's battery is too low")
	ErrNoMoney         = errors.New("the balance does not cover the least that this may cost")
	ErrDebt            = errors.New("an earlier ride is unpaid")
	ErrRiderBlocked    = errors.New("the rider is blocked")
	ErrRiderErased     = errors.New("the rider was erased; whoever they were logs in anew, as another rider")
	ErrTooManyLive     = errors.New("the rider has a live order of this kind already")
	ErrPayWith         = errors.New("this way to pay is not offered here")
	ErrBalanceCap      = errors.New("the balance would pass the most that a wallet may hold")
	ErrFull            = errors.New("there is no room to record anything new; what runs goes on and ends, try again later")
	ErrTooManyPayments = errors.New("too many payments wait to be closed; try again in a moment")
	ErrTopUp           = errors.New("this amount cannot be topped up")
	ErrKeyReused       = errors.New("the idempotency key was used for another request")
	ErrWrongState      = errors.New("the present state does not allow this")
	ErrStillOpen       = errors.New("the lock is not proved closed; close it by hand")
	ErrPassUnknown     = errors.New("no such pass is on offer, or held, here")
	ErrPassPrice       = errors.New("the pass has another price by now")
	ErrPassMany        = errors.New("the rider holds as many passes as they may")
	ErrReason          = errors.New("staff must give a reason")
	// ErrSecondPerson says that a refund is above what one person may give alone, or
	// that who asked for it would approve it.
	ErrSecondPerson = errors.New("this refund needs a second member of staff")
	ErrOverRefund   = errors.New("a refund must not pass what was captured")

	// What stands against erasing a rider, besides ErrDebt.
	ErrEraseLive    = errors.New("an order is not over; end it, or wait until staff have decided it")
	ErrEraseMoney   = errors.New("there is money in the wallet; withdraw it first")
	ErrErasePayment = errors.New("a payment or refund is under way; try again when it is done")

	// What staff enter. ErrInvalid: a value cannot be stored, the wrapping text
	// names it. ErrUnknown: a named thing does not exist.
	ErrInvalid  = errors.New("not a value that can be stored")
	ErrNoTariff = errors.New("no tariff is in force here")
	ErrExists   = errors.New("it exists already")
	ErrUnknown  = errors.New("a named thing does not exist")
	ErrTooMany  = errors.New("that is more than one answer takes")
	// ErrLastAdmin says that nobody could make keys any more.
	ErrLastAdmin = errors.New("this is the last key of an admin; make another one first")

	// ErrStale says that a guard failed: what was loaded is no longer so. The
	// Service runs the use case again; nobody else sees it.
	ErrStale = errors.New("the snapshot is stale")
	// ErrBusy says that a use case lost its race too many times in a row.
	ErrBusy = errors.New("too much happens here at once; try again")
	// ErrUncertain says that the connection broke after a commit was asked for:
	// it may or may not have happened. Running the use case again is safe.
	ErrUncertain = errors.New("the commit's outcome is unknown")
)
