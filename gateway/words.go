package gateway

import (
	"fmt"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
)

// Sealer makes command bytes with the installation's signing key. It implements
// order.Sealer; nothing else touches the key.
type Sealer struct {
	Signer wire.Signer
	Name   string // of its key; "" = devices' keys have no names here
	// Others sign for devices that do not know Signer's key, by the name of the one
	// that they know; see device.Device.ServerKey. "" may be among them.
	Others map[string]wire.Signer
}

// signer is the one whose key a device knows.
func (s Sealer) signer(key string) (wire.Signer, error) {
	if other, ok := s.Others[key]; ok {
		return other, nil
	}
	if key != "" && s.Name != "" && key != s.Name {
		return nil, fmt.Errorf("the device knows the server's key %s, and this replica holds %s; give every replica the same key file", key, s.Name)
	}
	return s.Signer, nil
}

var kinds = map[device.CommandKind]wire.CommandKind{
	device.Start: wire.KindStart, device.Ring: wire.KindRing, device.Probe: wire.KindProbe,
	device.Stop: wire.KindStop, device.Config: wire.KindConfig,
}

// Seal returns the COSE_Sign1 of a command: the same command, the same bytes.
func (s Sealer) Seal(id device.ID, c device.Command) ([]byte, error) {
	kind, ok := kinds[c.Kind]
	if !ok {
		return nil, fmt.Errorf("seal command of kind %q: %w", c.Kind, device.ErrBadInput)
	}
	w := wire.Command{Epoch: c.Epoch, Outlet: c.Outlet, Seq: c.Seq, Kind: kind, Boot: wire.Boot(c.Boot), NotAfter: c.NotAfter}
	var err error
	if w.ID, err = parseID(c.ID); err != nil {
		return nil, err
	}
	if w.Order, err = parseID(c.Order); err != nil {
		return nil, err
	}
	arguments(&w, c.Args)
	signer, err := s.signer(c.Key)
	if err != nil {
		return nil, err
	}
	return wire.SealCommand(signer, string(id), w)
}

// arguments translates what only the bytes of a command carry.
func arguments(w *wire.Command, a device.Args) {
	if s := a.Start; s != nil {
		w.Start = &wire.StartArgs{UnitPrices: s.UnitPrices, MaxMillilitres: s.MaxMillilitres, MaxFen: s.MaxFen, ArmMillis: s.ArmMillis}
	}
	if a.ServerKey != nil {
		w.Config = &wire.ConfigArgs{SecondKey: &wire.ServerKey{ID: wire.KeyID(a.ServerKey), Public: a.ServerKey}}
	}
	if t := a.Wall; t != nil {
		w.Config = &wire.ConfigArgs{WallMillis: t.At.UnixMilli(), WallBoot: wire.Boot(t.Boot), WallUptime: t.Uptime}
	}
}

// SealAck returns the bytes of an ack.
func (s Sealer) SealAck(id device.ID, epoch uint32, a device.Ack) ([]byte, error) {
	signer, err := s.signer(a.Key)
	if err != nil {
		return nil, err
	}
	return wire.SealCommand(signer, string(id), wire.Command{Epoch: epoch, Kind: wire.KindAck,
		Ack: &wire.AckArgs{Journal: wire.Journal(a.Journal), N: a.N}})
}

func parseID(s string) (wire.ID, error) {
	var id wire.ID
	if s == "" {
		return id, nil
	}
	if err := id.UnmarshalText([]byte(s)); err != nil {
		return id, fmt.Errorf("id %q: %w", s, err)
	}
	return id, nil
}

func idText(id wire.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// Word translates a verified uplink of a device. raw is its signed bytes, kept
// as the proof. The time of ingest is the decision's to set.
func Word(id device.ID, up wire.Uplink, raw []byte) device.Word {
	if e := up.Evidence; e != nil {
		d := device.Evidence{Device: id, Epoch: e.Epoch, Journal: device.Journal(e.Journal), Seq: e.Seq,
			Boot: device.Boot(e.Boot), Uptime: e.Uptime, Kind: device.EvidenceKind(e.Kind.String()), Outlet: e.Outlet,
			LastSeq: e.LastSeq, CommandSeq: e.CommandSeq, CommandID: idText(e.CommandID), Order: idText(e.Order),
			Closed: e.Closed, Counters: device.Counters{Opens: e.Counters.Opens, Totaliser: e.Counters.Totaliser,
				Millilitre: e.Millilitres, Fen: e.Fen}, Reason: e.Reason.String(), Raw: raw}
		if u := e.Unknown; u != nil {
			d.Unknown = &device.UnknownStart{Outlet: e.Outlet, Seq: u.Seq, CommandID: idText(u.CommandID), Order: idText(u.Order)}
		}
		return device.Word{Evidence: &d}
	}
	b := up.Beat
	d := device.Beat{Epoch: b.Epoch, Boot: device.Boot(b.Boot), Uptime: b.Uptime, Journal: device.Journal(b.Journal),
		Lowest: b.Lowest, Highest: b.Highest, Firmware: b.Firmware}
	for _, o := range b.Outlets {
		d.Outlets = append(d.Outlets, device.OutletBeat{N: o.Outlet, LastSeq: o.LastSeq, Closed: o.Closed,
			Counters: device.Counters{Opens: o.Counters.Opens, Totaliser: o.Counters.Totaliser}})
	}
	return device.Word{Beat: &d}
}
