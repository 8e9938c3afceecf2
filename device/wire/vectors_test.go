package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

const (
	vectorsFile  = "testdata/vectors.json"
	vectorDevice = "BIKE-0001"
)

// vectorSet is testdata/vectors.json.
type vectorSet struct {
	Comment string            `json:"comment"`
	Keys    map[string]keyHex `json:"keys"`
	Good    []vector          `json:"good"`
	Bad     []vector          `json:"bad"`
}

type keyHex struct {
	Seed   string `json:"seed"`
	Public string `json:"public"`
	KeyID  string `json:"kid"`
}

// vector is one message. Payload is what is signed, Bytes is what is sent.
type vector struct {
	Name       string          `json:"name"`
	Type       string          `json:"type"` // command, uplink, telemetry, presence
	Device     string          `json:"device"`
	Key        string          `json:"key,omitempty"`
	Message    json.RawMessage `json:"message,omitempty"`
	Error      string          `json:"error,omitempty"`
	Diagnostic string          `json:"diagnostic,omitempty"`
	Payload    string          `json:"payload,omitempty"`
	Bytes      string          `json:"bytes"`
}

var (
	serverKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x01}, 32))
	deviceKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x02}, 32))
	secondKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x03}, 32))

	vectorVerifiers = map[string]Verifier{
		"command": NewVerifier(serverKey.Public().(ed25519.PublicKey)),
		"uplink":  NewVerifier(deviceKey.Public().(ed25519.PublicKey)),
	}
)

// errorWords are the words that vectors use for the errors of this package.
var errorWords = []struct {
	word string
	err  error
}{
	{"too_large", ErrTooLarge}, {"malformed", ErrMalformed}, {"signature", ErrSignature},
	{"unknown_key", ErrUnknownKey}, {"version", ErrVersion}, {"unknown_kind", ErrUnknownKind},
}

func errorWord(err error) string {
	for _, w := range errorWords {
		if errors.Is(err, w.err) {
			return w.word
		}
	}
	return ""
}

// openVector decodes b as a receiver would, to a value that JSON can show.
func openVector(kind, device string, b []byte) (any, error) {
	switch kind {
	case "command":
		return OpenCommand(vectorVerifiers[kind], device, b)
	case "uplink":
		u, err := OpenUplink(vectorVerifiers[kind], device, b)
		if u.Beat != nil {
			return *u.Beat, err
		}
		if u.Evidence != nil {
			return *u.Evidence, err
		}
		return nil, err
	case "telemetry":
		return DecodeTelemetry(b)
	case "presence":
		return DecodePresence(b)
	}
	return nil, errors.New("no such type")
}

// sealVector is openVector's inverse.
func sealVector(device string, message any) (kind string, b []byte, err error) {
	switch m := message.(type) {
	case Command:
		b, err = SealCommand(NewSigner(serverKey), device, m)
		return "command", b, err
	case Evidence:
		b, err = SealEvidence(NewSigner(deviceKey), device, m)
		return "uplink", b, err
	case Beat:
		b, err = SealBeat(NewSigner(deviceKey), device, m)
		return "uplink", b, err
	case Telemetry:
		b, err = EncodeTelemetry(m)
		return "telemetry", b, err
	case Presence:
		b, err = EncodePresence(m)
		return "presence", b, err
	}
	return "", nil, errors.New("no such message")
}

var (
	vCommandID = ID{0x01, 0x9a, 0xa0, 6: 0x70, 8: 0x80, 15: 0x01}
	vOrder     = ID{0x01, 0x9a, 0xa0, 6: 0x70, 8: 0x80, 15: 0x02}
	vBoot      = Boot{0xb0, 1, 2, 3, 4, 5, 6, 7}
	vJournal   = Journal{0x70, 1, 2, 3, 4, 5, 6, 7}
	vPercent   = uint8(87)
)

// goodMessages are the golden messages, each with its name. Every optional
// field is present in one and absent in another.
var goodMessages = []struct {
	name    string
	message any
}{
	{"start lock", Command{Epoch: 1, Outlet: 1, Seq: 42, ID: vCommandID, Kind: KindStart, Order: vOrder, Boot: vBoot, NotAfter: 3_600_000}},
	{"start pump", Command{Epoch: 3, Outlet: 2, Seq: 70_000, ID: vCommandID, Kind: KindStart, Order: vOrder, Boot: vBoot, NotAfter: 90_000_000,
		Start: &StartArgs{UnitPrices: map[uint8]int64{1: 7_850, 2: 8_360, 3: 9_420, 4: 7_530}, MaxMillilitres: 60_000, MaxFen: 30_000, ArmMillis: 120_000}}},
	{"start pump, volume limit alone", Command{Epoch: 3, Outlet: 1, Seq: 1, ID: vCommandID, Kind: KindStart, Order: vOrder, Boot: vBoot, NotAfter: 5_000,
		Start: &StartArgs{UnitPrices: map[uint8]int64{1: 7_850}, MaxMillilitres: 10_000, ArmMillis: 60_000}}},
	{"ring", Command{Epoch: 1, Outlet: 1, Seq: 43, ID: vCommandID, Kind: KindRing, Boot: vBoot, NotAfter: 3_700_000}},
	{"probe", Command{Epoch: 1, Outlet: 1, Seq: 44, ID: vCommandID, Kind: KindProbe}},
	{"probe of epoch 0 with the greatest seq", Command{Outlet: 255, Seq: maxInt64, ID: vCommandID, Kind: KindProbe}},
	{"stop naming an order", Command{Epoch: 1, Outlet: 1, Seq: 45, ID: vCommandID, Kind: KindStop, Order: vOrder}},
	{"stop of whatever runs", Command{Epoch: 1, Outlet: 1, Seq: 46, ID: vCommandID, Kind: KindStop}},
	{"config", Command{Epoch: 1, Outlet: 1, Seq: 47, ID: vCommandID, Kind: KindConfig, Config: &ConfigArgs{
		Params:     map[Param]int64{ParamBeatSeconds: 120, ParamLowBatteryPercent: 15},
		WallMillis: 1_795_000_000_000, WallBoot: vBoot, WallUptime: 239_000,
		SecondKey: &ServerKey{ID: KeyID(secondKey.Public().(ed25519.PublicKey)), Public: secondKey.Public().(ed25519.PublicKey)}}}},
	{"config of a device with a display, at the start of its run", Command{Epoch: 3, Outlet: 1, Seq: 70_002, ID: vCommandID, Kind: KindConfig, Config: &ConfigArgs{
		Params: map[Param]int64{ParamCodeSeconds: 30, ParamCodeLength: 10}, WallMillis: 1_795_000_000_000, WallBoot: vBoot}}},
	{"config of nothing", Command{Epoch: 1, Outlet: 1, Seq: 48, ID: vCommandID, Kind: KindConfig, Config: &ConfigArgs{}}},
	{"ack", Command{Epoch: 1, Outlet: 1, Kind: KindAck, Ack: &AckArgs{Journal: vJournal, N: 17}}},
	{"ack of nothing", Command{Epoch: 1, Outlet: 1, Kind: KindAck, Ack: &AckArgs{Journal: vJournal}}},
	{"first boot", Evidence{Epoch: 1, Outlet: 1, Boot: vBoot, Kind: EvidenceBoot, Uptime: 850, Journal: vJournal, Seq: 1, Closed: true}},
	{"boot with an unknown outcome", Evidence{Epoch: 1, Outlet: 1, Boot: vBoot, Kind: EvidenceBoot, Uptime: 850, Journal: vJournal, Seq: 9,
		LastSeq: 42, Closed: true, Counters: Counters{Opens: 7}, Unknown: &Unknown{Seq: 42, CommandID: vCommandID, Order: vOrder}}},
	{"boot that found the bolt shut in a ride", Evidence{Epoch: 1, Outlet: 1, CommandSeq: 42, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceBoot, Uptime: 850, Journal: vJournal,
		Seq: 10, LastSeq: 42, Closed: true, Counters: Counters{Opens: 8}, Reason: ReasonClosedByHand}},
	{"executed", Evidence{Epoch: 1, Outlet: 1, CommandSeq: 42, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceExecuted, Uptime: 3_598_000,
		Journal: vJournal, Seq: 11, LastSeq: 42, Counters: Counters{Opens: 8}}},
	{"rejected", Evidence{Epoch: 1, Outlet: 1, CommandSeq: 42, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceRejected, Uptime: 3_600_001,
		Journal: vJournal, Seq: 11, LastSeq: 42, Closed: true, Counters: Counters{Opens: 7}, Reason: ReasonExpired}},
	{"failed", Evidence{Epoch: 1, Outlet: 1, CommandSeq: 42, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceFailed, Uptime: 3_598_000,
		Journal: vJournal, Seq: 11, LastSeq: 42, Closed: true, Counters: Counters{Opens: 7}, Reason: ReasonJam}},
	{"boot in a ride, bolt open", Evidence{Epoch: 1, Outlet: 1, CommandSeq: 42, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceBoot, Uptime: 850,
		Journal: vJournal, Seq: 12, LastSeq: 43, Counters: Counters{Opens: 8}}},
	{"ended, closed by hand", Evidence{Epoch: 1, Outlet: 1, CommandSeq: 42, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceEnded, Uptime: 4_800_000,
		Journal: vJournal, Seq: 12, LastSeq: 42, Closed: true, Counters: Counters{Opens: 8}, Reason: ReasonClosedByHand}},
	{"executed, pump armed", Evidence{Epoch: 3, Outlet: 2, CommandSeq: 70_000, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceExecuted, Uptime: 89_990_000,
		Journal: vJournal, Seq: 4_099, LastSeq: 70_000, Counters: Counters{Totaliser: map[uint8]uint64{1: 999_968_760, 2: 20_000}}}},
	{"rejected, pump shut down", Evidence{Epoch: 3, Outlet: 2, CommandSeq: 70_000, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceRejected, Uptime: 89_990_000,
		Journal: vJournal, Seq: 4_099, LastSeq: 70_000, Closed: true, Counters: Counters{Totaliser: map[uint8]uint64{1: 999_968_760, 2: 20_000}}, Reason: ReasonShutDown}},
	{"ended, pump stopped", Evidence{Epoch: 3, Outlet: 2, CommandSeq: 70_000, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceEnded, Uptime: 91_000_000,
		Journal: vJournal, Seq: 4_100, LastSeq: 70_001, Closed: true, Counters: Counters{Totaliser: map[uint8]uint64{1: 1_000_000_000, 2: 20_000}},
		Reason: ReasonStopped, Millilitres: 31_240, Fen: 24_523}},
	{"interrupted", Evidence{Epoch: 3, Outlet: 2, CommandSeq: 70_000, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceInterrupted, Uptime: 900,
		Journal: vJournal, Seq: 4_101, LastSeq: 70_001, Closed: true, Counters: Counters{Totaliser: map[uint8]uint64{1: 1_000_010_000}},
		Reason: ReasonPower, Millilitres: 10_000, Fen: 7_850}},
	{"ended, no nozzle lifted", Evidence{Epoch: 3, Outlet: 1, CommandSeq: 7, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceEnded, Uptime: 91_000_000,
		Journal: vJournal, Seq: 4_102, LastSeq: 7, Closed: true, Counters: Counters{Totaliser: map[uint8]uint64{1: 0, 2: 5}}, Reason: ReasonNotLifted}},
	{"ended by a fault of the pump", Evidence{Epoch: 3, Outlet: 1, CommandSeq: 8, CommandID: vCommandID, Order: vOrder, Boot: vBoot, Kind: EvidenceEnded, Uptime: 91_500_000,
		Journal: vJournal, Seq: 4_103, LastSeq: 8, Closed: true, Counters: Counters{Totaliser: map[uint8]uint64{1: 1_234, 2: 5}}, Reason: ReasonBroken,
		Millilitres: 1_234, Fen: 969}},
	{"emergency stop", Evidence{Epoch: 3, Outlet: 1, Boot: vBoot, Kind: EvidenceAlarm, Uptime: 92_000_000,
		Journal: vJournal, Seq: 4_104, LastSeq: 8, Closed: true, Counters: Counters{Totaliser: map[uint8]uint64{1: 1_234, 2: 5}}, Reason: ReasonEmergencyStop}},
	{"released", Evidence{Epoch: 3, Outlet: 1, Boot: vBoot, Kind: EvidenceAlarm, Uptime: 93_000_000,
		Journal: vJournal, Seq: 4_105, LastSeq: 8, Closed: true, Counters: Counters{Totaliser: map[uint8]uint64{1: 1_234, 2: 5}}, Reason: ReasonReleased}},
	{"alarm", Evidence{Epoch: 1, Outlet: 1, Boot: vBoot, Kind: EvidenceAlarm, Uptime: 9_000_000,
		Journal: vJournal, Seq: 13, LastSeq: 42, Counters: Counters{Opens: 9}, Reason: ReasonForcedOpen}},
	{"beat of a lock", Beat{Epoch: 1, Boot: vBoot, Uptime: 240_000, Journal: vJournal, Outlets: []OutletBeat{{Outlet: 1, LastSeq: 42, Closed: true, Counters: Counters{Opens: 8}}},
		Lowest: 1, Highest: 12, Firmware: "unlatch-sim 1", Wire: 1}},
	{"beat of a lock that never journalled", Beat{Boot: vBoot, Journal: vJournal, Outlets: []OutletBeat{{Outlet: 1}}}},
	{"beat of a lock that keeps nothing", Beat{Epoch: 1, Boot: vBoot, Uptime: 1, Journal: vJournal, Outlets: []OutletBeat{{Outlet: 1, LastSeq: 42}}, Lowest: 13, Highest: 12}},
	{"beat of a dispenser", Beat{Epoch: 3, Boot: vBoot, Uptime: 5_000, Journal: vJournal, Lowest: 3_800, Highest: 4_101, Firmware: "pump 2.4", Wire: 1,
		Outlets: []OutletBeat{{Outlet: 1, LastSeq: 9, Closed: true, Counters: Counters{Totaliser: map[uint8]uint64{1: 5}}}, {Outlet: 2, LastSeq: 70_001}}}},
	{"telemetry of a lock", Telemetry{Uptime: 240_500, Battery: &vPercent, Position: &Position{Lat: 31_230_416, Lng: 121_473_701}}},
	{"telemetry of a pump", Telemetry{Uptime: 240_500, Meters: []Meter{{Outlet: 1, Millilitres: 12_340, Fen: 9_687, State: MeterFuelling}, {Outlet: 2, State: MeterIdle}}}},
	{"telemetry that tells no state", Telemetry{Uptime: 240_500, Meters: []Meter{{Outlet: 1}}}},
	{"telemetry of nothing", Telemetry{}},
	{"birth", Presence{Online: true, Boot: vBoot}},
	{"will", Presence{Boot: vBoot}},
}

func buildVectors(t *testing.T) vectorSet {
	t.Helper()
	set := vectorSet{
		Comment: "Golden vectors of docs/protocol.md, protocol version 1. All numbers are hex or decimal as in the CDDL; " +
			"byte strings are hex, in message they are hex, UUID text or (server keys) base64. " +
			"good: bytes decode to message, and message encodes to exactly bytes. bad: bytes are refused with error.",
		Keys: map[string]keyHex{},
	}
	for name, key := range map[string]ed25519.PrivateKey{"server": serverKey, "device": deviceKey, "second": secondKey} {
		pub := key.Public().(ed25519.PublicKey)
		set.Keys[name] = keyHex{hex.EncodeToString(key.Seed()), hex.EncodeToString(pub), hex.EncodeToString(KeyID(pub))}
	}
	for _, g := range goodMessages {
		kind, b, err := sealVector(vectorDevice, g.message)
		if err != nil {
			t.Fatalf("%s: %v", g.name, err)
		}
		v := vector{Name: g.name, Type: kind, Device: vectorDevice, Bytes: hex.EncodeToString(b)}
		if v.Message, err = json.Marshal(g.message); err != nil {
			t.Fatal(err)
		}
		payload := b
		if verifier := vectorVerifiers[kind]; verifier != nil {
			v.Key = map[string]string{"command": "server", "uplink": "device"}[kind]
			if payload, err = open(verifier, vectorDevice, b, MaxUplink); err != nil {
				t.Fatal(err)
			}
			v.Payload = hex.EncodeToString(payload)
		}
		if v.Diagnostic, err = cbor.Diagnose(payload); err != nil {
			t.Fatal(err)
		}
		set.Good = append(set.Good, v)
	}
	set.Bad = buildBad(t)
	return set
}

// buildBad makes messages that must be refused, with the word for the reason.
func buildBad(t *testing.T) []vector {
	t.Helper()
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	server, device := NewSigner(serverKey), NewSigner(deviceKey)
	start := goodMessages[0].message.(Command)
	good := must(SealCommand(server, vectorDevice, start))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	signed := func(s Signer, payload string) []byte {
		t.Helper()
		return must(seal(s, vectorDevice, must(hex.DecodeString(payload)), 4096))
	}
	const id = "50" + "019aa000000070008000000000000001"
	const probe = "a5" + "0001" + "0101" + "0301" + "04" + id // kind, 5, is to follow
	const config = "a6" + "0001" + "0101" + "0301" + "04" + id + "0505" + "0a"
	const wall = "1b000001a1ee565e00"
	const uplink = "a6" + "0001" + "0101" + "0748b001020304050607" + "0c"
	out := []vector{}
	for _, b := range []struct {
		name, kind string
		bytes      []byte
	}{
		{"command for another device", "command", must(SealCommand(server, "BIKE-0002", start))},
		{"one bit of the signature flipped", "command", flipped},
		{"trailing byte", "command", append(bytes.Clone(good), 0)},
		{"cut short", "command", good[:len(good)-1]},
		{"length not in its shortest form", "command", append([]byte{frameTag, frameArray, 0x58, 0x0d}, good[3:]...)},
		{"unprotected header not empty", "command", bytes.Replace(good, []byte{0xa0, 0x58}, []byte{0xa1, 0x04, 0x40, 0x58}, 1)},
		{"signed with a key that the device does not know", "command", must(SealCommand(NewSigner(secondKey), vectorDevice, start))},
		{"keyed hash in place of a signature", "command", must(SealCommand(NewKeyedHash([]byte("k")), vectorDevice, start))},
		{"513 bytes", "command", make([]byte, MaxCommand+1)},
		{"version 2", "command", signed(server, "a5"+"0002"+"0101"+"0301"+"04"+id+"0503")},
		{"without a version", "command", signed(server, "a4"+"0101"+"0301"+"04"+id+"0503")},
		{"kind firmware", "command", signed(server, probe+"0507")},
		{"kind 99", "command", signed(server, probe+"051863")},
		{"without a kind", "command", signed(server, "a4"+"0001"+"0101"+"0301"+"04"+id)},
		{"probe with seq 0", "command", signed(server, "a4"+"0001"+"0101"+"04"+id+"0503")},
		{"probe without an id", "command", signed(server, "a4"+"0001"+"0101"+"0301"+"0503")},
		{"start without a boot id", "command", signed(server, probe+"0501")},
		{"config without its arguments", "command", signed(server, probe+"0505")},
		{"wall time of no boot", "command", signed(server, config+"a1"+"01"+wall)},
		{"boot without its wall time", "command", signed(server, config+"a1"+"0348b001020304050607")},
		{"wall uptime without a boot", "command", signed(server, config+"a1"+"0401")},
		{"wall time before 1970", "command", signed(server, config+"a2"+"0120"+"0348b001020304050607")},
		{"wall uptime above 2^53", "command", signed(server, config+"a3"+"01"+wall+"0348b001020304050607"+"041b0020000000000001")},
		{"key 3 twice", "command", signed(server, "a6"+"0001"+"0101"+"0301"+"0301"+"04"+id+"0503")},
		{"map of indefinite length", "command", signed(server, "bf"+"0001"+"0101"+"0301"+"04"+id+"0503"+"ff")},
		{"byte behind the map", "command", signed(server, probe+"0503"+"00")},
		{"null for a field", "command", signed(server, "a6"+"0001"+"0101"+"02f6"+"0301"+"04"+id+"0503")},
		{"outlet 0", "command", signed(server, "a6"+"0001"+"0101"+"0200"+"0301"+"04"+id+"0503")},
		{"outlet 256", "command", signed(server, "a6"+"0001"+"0101"+"02190100"+"0301"+"04"+id+"0503")},
		{"id of 15 bytes", "command", signed(server, "a5"+"0001"+"0101"+"0301"+"044f"+id[2:32]+"0503")},
		{"seq as a float", "command", signed(server, "a5"+"0001"+"0101"+"03f93c00"+"04"+id+"0503")},
		{"a beat where a command belongs", "command", must(SealBeat(server, vectorDevice, Beat{Boot: vBoot, Journal: vJournal, Outlets: []OutletBeat{{Outlet: 1}}}))},
		{"command where evidence belongs", "uplink", must(SealCommand(device, vectorDevice, start))},
		{"evidence kind 99", "uplink", signed(device, uplink+"1863"+"0e48700102030405060"+"7"+"0f01")},
		{"evidence without a seq", "uplink", signed(device, "a5"+uplink[2:]+"01"+"0e487001020304050607")},
		{"executed that names no command", "uplink", signed(device, uplink+"02"+"0e487001020304050607"+"0f01")},
		{"beat without outlets", "uplink", signed(device, "a5"+uplink[2:]+"00"+"0e487001020304050607")},
		{"uplink of 1025 bytes", "uplink", make([]byte, MaxUplink+1)},
		{"battery at 101 percent", "telemetry", must(hex.DecodeString("a200010218" + "65"))},
		{"telemetry of nine meters", "telemetry", must(hex.DecodeString("a2000104" + "89" + strings.Repeat("a10302", 9)))},
		{"meter with less than nothing", "telemetry", must(hex.DecodeString("a2000104" + "81" + "a2" + "0120" + "0306"))},
		{"meter in state 256", "telemetry", must(hex.DecodeString("a2000104" + "81" + "a1" + "03190100"))},
		{"telemetry of version 2", "telemetry", must(hex.DecodeString("a10002"))},
		{"telemetry of 257 bytes", "telemetry", make([]byte, MaxTelemetry+1)},
		{"presence without a boot", "presence", must(hex.DecodeString("a2000101f5"))},
	} {
		_, err := openVector(b.kind, vectorDevice, b.bytes)
		word := errorWord(err)
		if word == "" {
			t.Errorf("bad vector %q: got error %v, want one of this package's", b.name, err)
		}
		out = append(out, vector{Name: b.name, Type: b.kind, Device: vectorDevice, Error: word, Bytes: hex.EncodeToString(b.bytes)})
	}
	return out
}

func loadVectors(t testing.TB) vectorSet {
	t.Helper()
	data, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var set vectorSet
	if err := json.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func (v vector) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.Bytes)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return b
}

// TestVectorsAreCurrent fails where the code would write other vectors than
// those that firmware teams hold.
func TestVectorsAreCurrent(t *testing.T) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(buildVectors(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorsFile, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, buf.Bytes()) {
		t.Fatal("testdata/vectors.json is not what the code makes; a change of bytes needs a new version, or -update")
	}
}

func TestGoodVectorsDecodeAndEncode(t *testing.T) {
	set := loadVectors(t)
	if len(set.Good) != len(goodMessages) {
		t.Fatalf("got %d vectors, want %d", len(set.Good), len(goodMessages))
	}
	for i, v := range set.Good {
		got, err := openVector(v.Type, v.Device, v.bytes(t))
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if want := goodMessages[i].message; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", v.Name, got, want)
		}
		_, again, err := sealVector(v.Device, got)
		if err != nil || !bytes.Equal(again, v.bytes(t)) {
			t.Errorf("%s: encoded again: %x (%v), want %s", v.Name, again, err, v.Bytes)
		}
	}
}

func TestBadVectorsAreRefusedForTheirReason(t *testing.T) {
	for _, v := range loadVectors(t).Bad {
		_, err := openVector(v.Type, v.Device, v.bytes(t))
		if got := errorWord(err); got != v.Error {
			t.Errorf("%s: got %v (%q), want %q", v.Name, err, got, v.Error)
		}
	}
}
