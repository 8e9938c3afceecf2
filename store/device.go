package store

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
)

const deviceColumns = `id, kind, venue, epoch, public_key, service, service_reason, journal, applied, lost_up_to,
	boots, head, sample, heard_at, firmware, display, timed, timed_at, halt, told, server_key, rekey, bluetooth, version`

// samples is the column of that name: a program that knows no spare leaves it out.
type samples struct {
	device.Sample
	Spare device.Sample `json:"spare,omitzero"`
}

func scanDevice(row pgx.Row) (device.Device, error) {
	var d device.Device
	var journal, timed []byte
	var heard, timedAt *time.Time
	var clock samples
	err := row.Scan(&d.ID, &d.Kind, &d.Venue, &d.Epoch, &d.PublicKey, &d.Service, &d.ServiceReason, &journal,
		&d.Applied, &d.LostUpTo, &d.Boots, &d.Head, &clock, &heard, &d.Firmware,
		&d.Display, &timed, &timedAt, &d.Halt, &d.Told, &d.ServerKey, &d.Rekey, &d.Bluetooth, &d.Version)
	d.Sample, d.Spare = clock.Sample, clock.Spare
	copy(d.Journal[:], journal)
	copy(d.Timed[:], timed)
	if timedAt != nil {
		d.TimedAt = *timedAt
	}
	if heard != nil {
		d.HeardAt = *heard
	}
	return d, err
}

func queueDevice(b *pgx.Batch, d device.Device) {
	boots := d.Boots
	if boots == nil {
		boots = []device.BootSeen{}
	}
	args := []any{d.ID, d.Version, d.Kind, d.Venue, d.Epoch, d.PublicKey, d.Service, d.ServiceReason, d.Journal[:],
		d.Applied, d.LostUpTo, boots, d.Head, samples{d.Sample, d.Spare}, nilTime(d.HeardAt), d.Firmware, d.Display,
		d.Timed[:], nilTime(d.TimedAt), d.Halt, d.Told, d.ServerKey, d.Rekey, d.Bluetooth}
	if d.Version == 0 {
		b.Queue(`INSERT INTO devices (id, version, kind, venue, epoch, public_key, service, service_reason, journal,
			applied, lost_up_to, boots, head, sample, heard_at, firmware, display, timed, timed_at, halt,
			told, server_key, rekey, bluetooth)
			VALUES ($1, $2 + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)`, args...)
	} else {
		b.Queue(replaced(`UPDATE devices SET version = $2 + 1, kind = $3, venue = $4, epoch = $5, public_key = $6,
			service = $7, service_reason = $8, journal = $9, applied = $10, lost_up_to = $11, boots = $12, head = $13,
			sample = $14, heard_at = $15, firmware = $16, display = $17, timed = $18, timed_at = $19,
			halt = $20, told = $21, server_key = $22, rekey = $23, bluetooth = $24
			WHERE id = $1 AND version = $2`, "device"), args...)
	}
	if d.Applied == 0 { // newly provisioned, or not heard yet: its key must be findable by epoch
		b.Queue(`INSERT INTO device_keys (device, epoch, public_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			d.ID, d.Epoch, d.PublicKey)
	}
}

const outletColumns = `device, n, order_id, block, next_seq, last_seq, stated_known, stated_closed, stated_boot,
	stated_uptime, opens, jammed, meter, coalesce(reservation_id::text, ''), coalesce(reserved_for, ''), reserved_until, version`

func scanOutlet(row pgx.Row) (device.Outlet, error) {
	var o device.Outlet
	var order *string
	var boot []byte
	var until *time.Time
	err := row.Scan(&o.Device, &o.N, &order, &o.Block, &o.NextSeq, &o.LastSeq, &o.Stated.Known, &o.Stated.Closed, &boot,
		&o.Stated.Uptime, &o.Opens, &o.Jammed, &o.Meter, &o.Reservation.ID, &o.Reservation.Rider, &until, &o.Version)
	if until != nil {
		o.Reservation.Until = *until
	}
	copy(o.Stated.Boot[:], boot)
	if order != nil {
		o.Order = *order
	}
	return o, err
}

func queueOutlet(b *pgx.Batch, o device.Outlet) {
	args := []any{o.Device, o.N, o.Version, nilUUID(o.Order), o.Block, o.NextSeq, o.LastSeq, o.Stated.Known,
		o.Stated.Closed, o.Stated.Boot[:], o.Stated.Uptime, o.Opens, o.Meter, nilUUID(o.Reservation.ID), nilUUID(o.Reservation.Rider),
		nilTime(o.Reservation.Until), o.Jammed}
	if o.Version == 0 {
		b.Queue(`INSERT INTO outlets (device, n, version, order_id, block, next_seq, last_seq, stated_known,
			stated_closed, stated_boot, stated_uptime, opens, meter, reservation_id, reserved_for, reserved_until, jammed)
			VALUES ($1, $2, $3 + 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, args...)
		return
	}
	b.Queue(replaced(`UPDATE outlets SET version = $3 + 1, order_id = $4, block = $5, next_seq = $6, last_seq = $7,
		stated_known = $8, stated_closed = $9, stated_boot = $10, stated_uptime = $11, opens = $12, meter = $13, reservation_id = $14,
		reserved_for = $15, reserved_until = $16, jammed = $17
		WHERE device = $1 AND n = $2 AND version = $3`, "outlet"), args...)
}

const evidenceColumns = `device, epoch, journal, seq, boot, uptime, kind, outlet, last_seq, command_seq, command_id,
	order_id, closed, counters, reason, unknown, received_at, status, raw, version`

func scanEvidence(row pgx.Row) (device.Evidence, error) {
	var e device.Evidence
	var journal, boot []byte
	var command, order *string
	err := row.Scan(&e.Device, &e.Epoch, &journal, &e.Seq, &boot, &e.Uptime, &e.Kind, &e.Outlet, &e.LastSeq,
		&e.CommandSeq, &command, &order, &e.Closed, &e.Counters, &e.Reason, &e.Unknown, &e.Received, &e.Status, &e.Raw,
		&e.Version)
	copy(e.Journal[:], journal)
	copy(e.Boot[:], boot)
	if command != nil {
		e.CommandID = *command
	}
	if order != nil {
		e.Order = *order
	}
	return e, err
}

func queueEvidence(b *pgx.Batch, e device.Evidence) {
	if e.Version != 0 { // only its status ever changes
		b.Queue(replaced(`UPDATE evidence SET status = $6, version = $5 + 1
			WHERE device = $1 AND epoch = $2 AND journal = $3 AND seq = $4 AND version = $5`, "evidence"),
			e.Device, e.Epoch, e.Journal[:], e.Seq, e.Version, e.Status)
		return
	}
	b.Queue(`INSERT INTO evidence (device, epoch, journal, seq, boot, uptime, kind, outlet, last_seq, command_seq,
		command_id, order_id, closed, counters, reason, unknown, received_at, status, raw, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 1)`,
		e.Device, e.Epoch, e.Journal[:], e.Seq, e.Boot[:], e.Uptime, e.Kind, e.Outlet, e.LastSeq, e.CommandSeq,
		nilUUID(e.CommandID), nilUUID(e.Order), e.Closed, e.Counters, e.Reason, e.Unknown, e.Received, e.Status, e.Raw)
}
