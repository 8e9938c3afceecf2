package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
	"pgregory.net/rapid"
)

func TestStartFitsTwoHundredBytes(t *testing.T) {
	lock := Command{Epoch: 1<<32 - 1, Outlet: 255, Seq: maxInt64, ID: vCommandID, Kind: KindStart, Order: vOrder, Boot: vBoot, NotAfter: maxInt64}
	pump := Command{Epoch: 1<<16 - 1, Outlet: 4, Seq: 1<<32 - 1, ID: vCommandID, Kind: KindStart, Order: vOrder, Boot: vBoot, NotAfter: 1 << 40,
		Start: &StartArgs{UnitPrices: map[uint8]int64{1: 65_000, 2: 65_000, 3: 65_000, 4: 65_000}, MaxMillilitres: 1 << 31, MaxFen: 1 << 31, ArmMillis: 1 << 31}}
	for name, c := range map[string]Command{"any lock": lock, "four nozzles": pump} {
		b, err := SealCommand(NewSigner(serverKey), "A23456789012345678901234", c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(b) > 200 {
			t.Errorf("%s: start takes %d bytes, want at most 200", name, len(b))
		}
	}
}

// TestLockEvidenceFitsItsPlace holds P4.10's figure for the size of a journal.
func TestLockEvidenceFitsItsPlace(t *testing.T) {
	most := Evidence{Epoch: 1<<32 - 1, Outlet: 255, Boot: vBoot, Kind: EvidenceBoot, Uptime: maxUptime, Journal: vJournal, Seq: maxInt64, LastSeq: maxInt64 - 1,
		Closed: true, Counters: Counters{Opens: maxInt64}, Unknown: &Unknown{Seq: maxInt64, CommandID: vCommandID, Order: vOrder}}
	answer := most
	answer.Kind, answer.Unknown, answer.CommandSeq, answer.CommandID, answer.Order, answer.Reason = EvidenceRejected, nil, maxInt64, vCommandID, vOrder, 255
	for _, e := range []Evidence{most, answer} {
		b, err := SealEvidence(NewSigner(deviceKey), vectorDevice, e)
		if err != nil || len(b) > 256 {
			t.Errorf("%s evidence takes %d bytes (%v), want at most 256", e.Kind, len(b), err)
		}
	}
}

// TestPumpEvidenceFitsItsPlace holds P4.10's figure for a side of six nozzles,
// each with more fuel behind it than a station sells in its life.
func TestPumpEvidenceFitsItsPlace(t *testing.T) {
	totaliser := map[uint8]uint64{}
	for nozzle := range uint8(6) {
		totaliser[250+nozzle] = maxInt64
	}
	b, err := SealEvidence(NewSigner(deviceKey), vectorDevice, Evidence{Epoch: 1<<32 - 1, Outlet: 255, Boot: vBoot, Kind: EvidenceEnded, Uptime: maxUptime,
		Journal: vJournal, Seq: maxInt64, LastSeq: maxInt64 - 1, Closed: true, Counters: Counters{Totaliser: totaliser}, Reason: 255,
		CommandSeq: maxInt64, CommandID: vCommandID, Order: vOrder, Millilitres: maxInt64, Fen: maxInt64})
	if err != nil || len(b) > 384 {
		t.Errorf("evidence takes %d bytes (%v), want at most 384", len(b), err)
	}
}

// TestEightMetersFitTelemetry: whatever they show, with all the rest.
func TestEightMetersFitTelemetry(t *testing.T) {
	full := Telemetry{Uptime: maxInt64, Battery: &vPercent, Position: &Position{Lat: -90e6, Lng: -180e6}}
	for outlet := range uint8(8) {
		full.Meters = append(full.Meters, Meter{Outlet: 248 + outlet, Millilitres: maxInt64, Fen: maxInt64, State: MeterFuelling})
	}
	if b, err := EncodeTelemetry(full); err != nil {
		t.Errorf("takes %d bytes: %v", len(b), err)
	}
}

// TestWhatNoTableCouldHoldIsRefused: a word that Postgres refuses would be sent
// again for ever.
func TestWhatNoTableCouldHoldIsRefused(t *testing.T) {
	beat := Beat{Boot: vBoot, Journal: vJournal, Outlets: []OutletBeat{{Outlet: 1}}}
	for name, bend := range map[string]func(*Beat){
		"a firmware version with a NUL": func(b *Beat) { b.Firmware = "1.2\x00" },
		"a last seq with no next one":   func(b *Beat) { b.Outlets = []OutletBeat{{Outlet: 1, LastSeq: maxInt64}} },
		"an uptime of ages":             func(b *Beat) { b.Uptime = maxUptime + 1 },
	} {
		bent := beat
		bend(&bent)
		if _, err := SealBeat(NewSigner(deviceKey), vectorDevice, bent); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestAnyFlippedBitIsRefused(t *testing.T) {
	for _, v := range loadVectors(t).Good {
		if v.Key == "" {
			continue
		}
		b := v.bytes(t)
		for bit := range 8 * len(b) {
			b[bit/8] ^= 1 << (bit % 8)
			if _, err := openVector(v.Type, v.Device, b); err == nil {
				t.Errorf("%s: bit %d of byte %d flipped and still accepted", v.Name, bit%8, bit/8)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestAnyCutOrGrownMessageIsRefused(t *testing.T) {
	for _, v := range loadVectors(t).Good {
		if v.Key == "" {
			continue
		}
		b := v.bytes(t)
		for n := range b {
			if _, err := openVector(v.Type, v.Device, b[:n]); err == nil {
				t.Errorf("%s: first %d bytes accepted", v.Name, n)
			}
		}
	}
}

// TestGoCoseReadsWhatWeSeal and the next hold the hand-written frame against
// the library, in both directions.
func TestGoCoseReadsWhatWeSeal(t *testing.T) {
	keys := map[string]ed25519.PrivateKey{"server": serverKey, "device": deviceKey}
	for _, v := range loadVectors(t).Good {
		if v.Key == "" {
			continue
		}
		verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, keys[v.Key].Public())
		if err != nil {
			t.Fatal(err)
		}
		var m cose.Sign1Message
		if err := m.UnmarshalCBOR(v.bytes(t)); err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if err := m.Verify([]byte(v.Device), verifier); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if err := m.Verify([]byte("BIKE-0002"), verifier); err == nil {
			t.Errorf("%s: verifies for another device", v.Name)
		}
		if got := hex.EncodeToString(m.Payload); got != v.Payload {
			t.Errorf("%s: payload %s, want %s", v.Name, got, v.Payload)
		}
	}
}

func TestWeReadWhatGoCoseSeals(t *testing.T) {
	signer, err := cose.NewSigner(cose.AlgorithmEdDSA, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range loadVectors(t).Good {
		if v.Type != "command" {
			continue
		}
		payload, _ := hex.DecodeString(v.Payload)
		headers := cose.Headers{Protected: cose.ProtectedHeader{
			cose.HeaderLabelAlgorithm: cose.AlgorithmEdDSA,
			cose.HeaderLabelKeyID:     KeyID(serverKey.Public().(ed25519.PublicKey)),
		}}
		b, err := cose.Sign1(rand.Reader, signer, headers, payload, []byte(v.Device))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, v.bytes(t)) {
			t.Errorf("%s: go-cose seals %x, we seal %s", v.Name, b, v.Bytes)
		}
	}
}

func TestUnknownLabelsAreIgnored(t *testing.T) {
	for _, v := range loadVectors(t).Good {
		want, err := openVector(v.Type, v.Device, v.bytes(t))
		if err != nil {
			t.Fatal(err)
		}
		source := v.Payload
		if source == "" {
			source = v.Bytes
		}
		payload, _ := hex.DecodeString(source)
		var fields map[int]cbor.RawMessage
		if err := cbor.Unmarshal(payload, &fields); err != nil {
			t.Fatal(err)
		}
		fields[1000] = cbor.RawMessage{0x82, 0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xa1, 0x61, 'x', 0xf5} // [1.0, {"x": true}]
		payload, err = encode.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		switch v.Type {
		case "command":
			got, err = decodeCommand(payload)
		case "uplink":
			var u Uplink
			if u, err = decodeUplink(payload); u.Beat != nil {
				got = *u.Beat
			} else if u.Evidence != nil {
				got = *u.Evidence
			}
		default:
			got, err = openVector(v.Type, v.Device, payload)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s with label 1000:\n got %+v (%v)\nwant %+v", v.Name, got, err, want)
		}
	}
}

// TestEmptyIsAbsent: a peer may send an empty map where it should send none.
func TestEmptyIsAbsent(t *testing.T) {
	seal := func(payload any) []byte {
		t.Helper()
		b, err := encode.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	empty := map[int]any{}
	evidence := map[int]any{0: 1, 7: vBoot, 12: 1, 14: vJournal, 15: 1, 18: map[int]any{1: empty}}
	if u, err := decodeUplink(seal(evidence)); err != nil || u.Evidence.Counters.Totaliser != nil {
		t.Errorf("evidence: got %+v, %v", u.Evidence, err)
	}
	beat := map[int]any{0: 1, 7: vBoot, 12: 0, 14: vJournal, 23: []any{map[int]any{3: map[int]any{1: empty}}}}
	if u, err := decodeUplink(seal(beat)); err != nil || u.Beat.Outlets[0].Counters.Totaliser != nil {
		t.Errorf("beat: got %+v, %v", u.Beat, err)
	}
	config := map[int]any{0: 1, 3: 1, 4: vCommandID, 5: 5, 10: map[int]any{0: empty}}
	if c, err := decodeCommand(seal(config)); err != nil || c.Config.Params != nil {
		t.Errorf("config: got %+v, %v", c, err)
	}
	if m, err := DecodeTelemetry(seal(map[int]any{0: 1, 4: []any{}})); err != nil || m.Meters != nil {
		t.Errorf("telemetry: got %+v, %v", m, err)
	}
}

func TestUnknownKindIsTyped(t *testing.T) {
	_, err := SealCommand(NewSigner(serverKey), vectorDevice, Command{Kind: KindFirmware, Seq: 1, ID: vCommandID})
	var kind *UnknownKindError
	if !errors.As(err, &kind) || kind.Kind != uint64(KindFirmware) {
		t.Errorf("got %v, want an UnknownKindError of %d", err, KindFirmware)
	}
}

func TestSealingRefusesWhatNoPeerAccepts(t *testing.T) {
	probe := Command{Seq: 1, ID: vCommandID, Kind: KindProbe}
	boot := Evidence{Boot: vBoot, Journal: vJournal, Seq: 1, Kind: EvidenceBoot}
	with := func(change func(*Command)) Command { c := probe; change(&c); return c }
	withE := func(change func(*Evidence)) Evidence { e := boot; change(&e); return e }
	for name, m := range map[string]any{
		"seq above 2^63-1":        with(func(c *Command) { c.Seq = 1 << 63 }),
		"ack with a seq":          with(func(c *Command) { c.Kind = KindAck; c.Ack = &AckArgs{Journal: vJournal} }),
		"probe with a boot id":    with(func(c *Command) { c.Boot = vBoot }),
		"probe that expires":      with(func(c *Command) { c.NotAfter = 1 }),
		"probe with start limits": with(func(c *Command) { c.Start = &StartArgs{} }),
		"start without nozzles": with(func(c *Command) {
			c.Kind, c.Boot, c.Start = KindStart, vBoot, &StartArgs{MaxMillilitres: 1, ArmMillis: 1}
		}),
		"wall time of no boot": with(func(c *Command) { c.Kind, c.Config = KindConfig, &ConfigArgs{WallMillis: 1} }),
		"boot without its wall time": with(func(c *Command) {
			c.Kind, c.Config = KindConfig, &ConfigArgs{WallBoot: vBoot, WallUptime: 1}
		}),
		"wall uptime of ages": with(func(c *Command) {
			c.Kind, c.Config = KindConfig, &ConfigArgs{WallMillis: 1, WallBoot: vBoot, WallUptime: maxUptime + 1}
		}),
		"second key with a wrong id": with(func(c *Command) {
			c.Kind, c.Config = KindConfig, &ConfigArgs{SecondKey: &ServerKey{ID: make([]byte, 8), Public: make([]byte, 32)}}
		}),
		"evidence without a boot":           withE(func(e *Evidence) { e.Boot = Boot{} }),
		"evidence without a journal":        withE(func(e *Evidence) { e.Journal = Journal{} }),
		"alarm that names a command":        withE(func(e *Evidence) { e.Kind, e.CommandSeq, e.CommandID = EvidenceAlarm, 1, vCommandID }),
		"command seq without id":            withE(func(e *Evidence) { e.Kind, e.CommandSeq = EvidenceExecuted, 1 }),
		"volume in a boot":                  withE(func(e *Evidence) { e.Millilitres = 1 }),
		"negative volume":                   withE(func(e *Evidence) { e.Kind, e.Millilitres = EvidenceEnded, -1 }),
		"unknown outcome in an alarm":       withE(func(e *Evidence) { e.Kind, e.Unknown = EvidenceAlarm, &Unknown{Seq: 1, CommandID: vCommandID} }),
		"beat that holds 5 to 3":            Beat{Boot: vBoot, Journal: vJournal, Lowest: 5, Highest: 3, Outlets: []OutletBeat{{}}},
		"beat with an outlet twice":         Beat{Boot: vBoot, Journal: vJournal, Outlets: []OutletBeat{{}, {Outlet: 1}}},
		"beat with a long firmware version": Beat{Boot: vBoot, Journal: vJournal, Outlets: []OutletBeat{{}}, Firmware: strings.Repeat("x", 33)},
		"telemetry of nine meters":          Telemetry{Meters: make([]Meter, 9)},
		"position off the globe":            Telemetry{Position: &Position{Lat: 90_000_001}},
	} {
		if _, b, err := sealVector(vectorDevice, m); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %x, %v, want ErrMalformed", name, b, err)
		}
	}
	if _, err := SealCommand(NewSigner(serverKey), "no/device", probe); !errors.Is(err, ErrMalformed) {
		t.Errorf("device id with a slash: got %v, want ErrMalformed", err)
	}
}

func TestOutletZeroIsSentAsOne(t *testing.T) {
	c := Command{Seq: 1, ID: vCommandID, Kind: KindProbe}
	one := c
	one.Outlet = 1
	a, err := SealCommand(NewSigner(serverKey), vectorDevice, c)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := SealCommand(NewSigner(serverKey), vectorDevice, one)
	if !bytes.Equal(a, b) {
		t.Errorf("outlet 0 seals %x, outlet 1 seals %x, want the same", a, b)
	}
	beat := Beat{Boot: vBoot, Journal: vJournal, Outlets: []OutletBeat{{}}}
	if _, err := SealBeat(NewSigner(deviceKey), vectorDevice, beat); err != nil || beat.Outlets[0].Outlet != 0 {
		t.Errorf("SealBeat changed its caller's outlets to %+v (%v)", beat.Outlets, err)
	}
}

func TestTopics(t *testing.T) {
	for topic, want := range map[string]Channel{
		CommandTopic("a-B_9"): ChannelCommand, EvidenceTopic("a-B_9"): ChannelEvidence,
		TelemetryTopic("a-B_9"): ChannelTelemetry, PresenceTopic("a-B_9"): ChannelPresence,
	} {
		device, ch, err := ParseTopic(topic)
		if err != nil || device != "a-B_9" || ch != want {
			t.Errorf("ParseTopic(%q) = %q, %v, %v, want a-B_9, %v", topic, device, ch, err, want)
		}
	}
	for _, topic := range []string{"", "ul/1/", "ul/1/a", "ul/1/a/", "ul/1//cmd", "ul/2/a/cmd", "ul/1/a/up", "ul/1/a/up/x", "ul/1/a/cmd/", "/ul/1/a/cmd",
		"ul/1/+/cmd", "ul/1/*/up/evt", "ul/1/a b/cmd", "ul/1/1234567890123456789012345/cmd", "ul/1/ä/cmd", "ul/1/a/b/up/evt"} {
		if device, ch, err := ParseTopic(topic); !errors.Is(err, ErrMalformed) {
			t.Errorf("ParseTopic(%q) = %q, %v, %v, want ErrMalformed", topic, device, ch, err)
		}
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		KindStart.String(): "start", CommandKind(99).String(): "kind 99", EvidenceEnded.String(): "ended", EvidenceKind(0).String(): "kind 0",
		ReasonJournalFull.String(): "journal_full", MeterFuelling.String(): "fuelling", MeterState(0).String(): "state 0", MeterState(99).String(): "state 99", Reason(99).String(): "reason 99", ChannelEvidence.String(): "evt", Channel(9).String(): "unknown",
		vCommandID.String(): "019aa000-0000-7000-8000-000000000001", vBoot.String(): "b001020304050607",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	var id ID
	if err := id.UnmarshalText([]byte(vCommandID.String())); err != nil || id != vCommandID {
		t.Errorf("got %v, %v, want %v", id, err, vCommandID)
	}
	for _, text := range []string{"", "019aa000-0000-7000-8000-00000000000", "019aa000x0000-7000-8000-000000000001", "019aa000-0000-7000-8000-00000000000g"} {
		if err := id.UnmarshalText([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %v, want ErrMalformed", text, err)
		}
	}
}

func TestKeyedHashIsNoSignature(t *testing.T) {
	h := NewKeyedHash([]byte("simulation"))
	c := goodMessages[0].message.(Command)
	b, err := SealCommand(h, vectorDevice, c)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenCommand(h, vectorDevice, b); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("got %+v, %v, want %+v", got, err, c)
	}
	if _, err := OpenCommand(NewKeyedHash([]byte("other")), vectorDevice, b); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("other key: got %v, want ErrUnknownKey", err)
	}
	if _, err := OpenCommand(vectorVerifiers["command"], vectorDevice, b); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("real verifier: got %v, want ErrUnknownKey", err)
	}
}

// TestAnyMessageSurvivesTheWire draws messages at random: what is sealed opens
// to the same, for its device alone, and not with any bit flipped.
func TestAnyMessageSurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewKeyedHash([]byte("k"))
		device := rapid.StringMatching(`[A-Za-z0-9_-]{1,24}`).Draw(t, "device")
		var b []byte
		var err error
		if rapid.Bool().Draw(t, "down") {
			want := drawCommand(t)
			if b, err = SealCommand(h, device, want); err != nil {
				t.Fatal(err)
			}
			if got, err := OpenCommand(h, device, b); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, %v, want %+v", got, err, want)
			}
		} else {
			want := drawEvidence(t)
			if b, err = SealEvidence(h, device, want); err != nil {
				t.Fatal(err)
			}
			if got, err := OpenUplink(h, device, b); err != nil || !reflect.DeepEqual(*got.Evidence, want) {
				t.Fatalf("got %+v, %v, want %+v", got.Evidence, err, want)
			}
		}
		if _, err := open(h, device+"x", b, MaxUplink); err == nil {
			t.Fatal("opened for another device")
		}
		bit := rapid.IntRange(0, 8*len(b)-1).Draw(t, "bit")
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := open(h, device, b, MaxUplink); err == nil {
			t.Fatalf("bit %d flipped and still opened", bit)
		}
	})
}

func drawID(t *rapid.T, name string) ID {
	id := ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name))
	id[0] |= 1
	return id
}

func drawCommand(t *rapid.T) Command {
	c := Command{
		Epoch:  rapid.Uint32().Draw(t, "epoch"),
		Outlet: rapid.Uint8Range(1, 255).Draw(t, "outlet"),
		Seq:    rapid.Uint64Range(1, maxInt64).Draw(t, "seq"),
		ID:     drawID(t, "id"),
		Kind:   CommandKind(rapid.Uint8Range(uint8(KindStart), uint8(KindAck)).Draw(t, "kind")),
	}
	if rapid.Bool().Draw(t, "with order") {
		c.Order = drawID(t, "order")
	}
	switch c.Kind {
	case KindStart, KindRing:
		c.Boot, c.NotAfter = vBoot, rapid.Uint64Range(0, maxInt64).Draw(t, "not after")
		if c.Kind == KindStart && rapid.Bool().Draw(t, "pump") {
			c.Start = &StartArgs{
				UnitPrices:     rapid.MapOfN(rapid.Uint8Range(1, 255), rapid.Int64Range(0, maxInt64), 1, 8).Draw(t, "prices"),
				MaxMillilitres: rapid.Int64Range(1, maxInt64).Draw(t, "ml"),
				MaxFen:         rapid.Int64Range(0, maxInt64).Draw(t, "fen"),
				ArmMillis:      rapid.Uint32Range(1, 1<<32-1).Draw(t, "arm"),
			}
		}
	case KindConfig:
		c.Config = &ConfigArgs{WallMillis: rapid.Int64Range(0, maxInt64).Draw(t, "wall")}
		if c.Config.WallMillis != 0 {
			c.Config.WallBoot, c.Config.WallUptime = vBoot, rapid.Uint64Range(0, maxUptime).Draw(t, "wall uptime")
		}
	case KindAck:
		c.Seq, c.ID, c.Order = 0, ID{}, ID{}
		c.Ack = &AckArgs{Journal: vJournal, N: rapid.Uint64Range(0, maxInt64).Draw(t, "n")}
	}
	return c
}

func drawEvidence(t *rapid.T) Evidence {
	e := Evidence{
		Epoch:    rapid.Uint32().Draw(t, "epoch"),
		Outlet:   rapid.Uint8Range(1, 255).Draw(t, "outlet"),
		Boot:     vBoot,
		Kind:     EvidenceKind(rapid.Uint8Range(uint8(EvidenceBoot), uint8(EvidenceAlarm)).Draw(t, "kind")),
		Uptime:   rapid.Uint64Range(0, maxUptime).Draw(t, "uptime"),
		Journal:  vJournal,
		Seq:      rapid.Uint64Range(1, maxInt64).Draw(t, "seq"),
		LastSeq:  rapid.Uint64Range(0, maxInt64-1).Draw(t, "last seq"),
		Closed:   rapid.Bool().Draw(t, "closed"),
		Counters: Counters{Opens: rapid.Uint64Range(0, maxInt64).Draw(t, "opens")},
		Reason:   Reason(rapid.Uint8().Draw(t, "reason")),
	}
	if e.Kind.Answers() {
		e.CommandSeq, e.CommandID = rapid.Uint64Range(1, maxInt64).Draw(t, "command seq"), drawID(t, "command")
	}
	if e.Kind == EvidenceBoot && rapid.Bool().Draw(t, "unknown") {
		e.Unknown = &Unknown{Seq: 1, CommandID: drawID(t, "unknown command")}
	}
	if rapid.Bool().Draw(t, "nozzles") {
		e.Counters.Totaliser = rapid.MapOfN(rapid.Uint8Range(1, 255), rapid.Uint64Range(0, maxInt64), 1, 16).Draw(t, "totaliser")
	}
	if e.Kind == EvidenceInterrupted {
		e.Millilitres, e.Fen = rapid.Int64Range(0, maxInt64).Draw(t, "ml"), rapid.Int64Range(0, maxInt64).Draw(t, "fen")
	}
	return e
}
