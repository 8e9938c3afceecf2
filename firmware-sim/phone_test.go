package sim

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// nearby is a rig whose lock has a phone beside it and no network.
func nearby(t fataler, change func(*Config)) *rig {
	t.Helper()
	r := newRig(t, func(c *Config) {
		c.Bluetooth = true
		if change != nil {
			change(c)
		}
	})
	r.c.Boot(r.now)
	r.take(r.c.PhoneConnect(r.now))
	return r
}

// read takes what the phone was notified of.
func (r *rig) read() {
	r.t.Helper()
	var a wire.Assembler
	for _, frame := range r.c.PhoneRead() {
		if len(frame) > wire.MaxFrame {
			r.t.Fatalf("a frame of %d bytes", len(frame))
		}
		if m, ok := a.Add(frame, 0); ok {
			r.take([]Packet{{Topic: wire.EvidenceTopic(testDevice), Payload: m}})
		}
	}
}

// write lets the phone write a sealed message; what the lock notifies is read.
func (r *rig) write(message []byte) {
	r.t.Helper()
	for _, frame := range wire.Frames(message) {
		r.take(r.c.PhoneWrite(r.now, frame))
	}
	r.read()
}

func TestPhoneCarriesAWholeRideWithoutANetwork(t *testing.T) { // P10.4, P10.5, P8.4
	r := nearby(t, nil)
	r.read()
	r.want("beat", "boot")
	r.write(r.seal(r.command(wire.KindProbe, 1)))
	r.want("beat")
	r.write(r.seal(r.command(wire.KindStart, 2)))
	r.want("executed")
	r.wantMoves(1)
	r.take(r.c.CloseByHand(r.now))
	r.read()
	r.want("ended: closed_by_hand")
	r.write(r.seal(wire.Command{Epoch: 1, Kind: wire.KindAck, Ack: &wire.AckArgs{Journal: r.c.flash.Journal, N: 3}}))
	if r.c.flash.Acked != 3 {
		t.Errorf("acked %d, want 3: an ack counts by either road", r.c.flash.Acked)
	}
}

func TestSameStartByBothRoadsMovesOnce(t *testing.T) { // P2.8, P10.5
	r := nearby(t, nil)
	r.take(r.c.Connect(r.now))
	start := r.seal(r.command(wire.KindStart, 1))
	r.write(start)
	r.take(r.c.Receive(r.now, start))
	r.write(start)
	r.wantMoves(1)
}

func TestForgedFramesMoveNothingAndAreAnsweredOnceASecond(t *testing.T) { // P1.7, P9.4, P10.5
	r := nearby(t, nil)
	r.read()
	r.seen()
	forged := r.seal(r.command(wire.KindStart, 1))
	forged[len(forged)-1] ^= 1
	for range 20 {
		r.write(forged)
	}
	r.want("beat")
	r.wantMoves(0)
	if writes := r.c.flash.Outlet.LastSeq; writes != 0 {
		t.Errorf("a forgery burned %d", writes)
	}
	r.wait(900 * time.Millisecond)
	r.read()
	if slices.Contains(r.seen(), "beat") {
		t.Errorf("a second answer within the second")
	}
	r.wait(200 * time.Millisecond)
	r.read()
	if !slices.Contains(r.seen(), "beat") {
		t.Errorf("no answer after the second")
	}
}

func TestEvidenceGoesByBothRoadsUntilAckedByOne(t *testing.T) { // P10.4, P10.6
	r := nearby(t, nil)
	r.take(r.c.Connect(r.now))
	r.read()
	r.seen()
	r.start(1)
	r.want("executed") // on MQTT
	r.read()
	r.want("executed") // notified
	r.wait(2 * time.Second)
	r.seen()
	r.read()
	if got := r.seen(); !slices.Contains(got, "executed") {
		t.Errorf("notified again %v, want executed among it", got)
	}
	r.ack(2)
	r.read()
	r.seen()
	r.wait(time.Minute)
	r.read()
	if got := r.seen(); slices.Contains(got, "executed") {
		t.Errorf("after the ack still %v", got)
	}
}

func TestPhoneThatLeftAndCameAgainIsToldAll(t *testing.T) { // P10.4
	r := nearby(t, nil)
	r.read()
	r.write(r.seal(r.command(wire.KindStart, 1)))
	r.c.PhoneDisconnect()
	r.take(r.c.CloseByHand(r.now))
	r.seen()
	if got := r.c.PhoneRead(); len(got) != 0 {
		t.Fatalf("%d frames for a phone that is gone", len(got))
	}
	r.take(r.c.PhoneConnect(r.now))
	r.read()
	r.want("beat", "boot", "executed", "ended: closed_by_hand")
}

func TestPowerCutEndsThePhonesConnection(t *testing.T) { // P10.7
	r := nearby(t, nil)
	r.c.PowerCut()
	if got := r.c.PhoneWrite(r.now, []byte{0x80, 0, 1, 1}); got != nil || r.c.PhoneConnected() {
		t.Errorf("a lock without power answers a phone")
	}
	r.c.Boot(r.now)
	r.take(r.c.PhoneWrite(r.now, []byte{0x80, 0, 1, 1}))
	if len(r.c.PhoneRead()) != 0 {
		t.Errorf("a phone is served that did not connect since the boot")
	}
}

func TestDeviceWithoutBluetoothServesNoPhone(t *testing.T) {
	r := nearby(t, func(c *Config) { c.Bluetooth = false })
	if r.c.PhoneConnected() || len(r.c.PhoneRead()) != 0 {
		t.Errorf("a phone is connected")
	}
}

func TestStageCarriesFrames(t *testing.T) {
	b := startBroker(t)
	near := b.provision("bike-1")
	near.Bluetooth = true
	f, _ := b.runFleet("", near, b.provision("bike-2"))
	b.awaitBeat("bike-2")
	call := func(device, body string) (int, []string) {
		w := httptest.NewRecorder()
		f.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/devices/"+device+"/bluetooth", strings.NewReader(body)))
		var out struct {
			Frames []string `json:"frames"`
		}
		if w.Code == http.StatusOK {
			if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
				t.Fatal(err)
			}
		}
		return w.Code, out.Frames
	}
	status, frames := call("bike-1", `{"frames":[]}`)
	var a wire.Assembler
	whole := 0
	for _, text := range frames {
		frame, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := a.Add(frame, 0); ok {
			whole++
		}
	}
	if status != http.StatusOK || whole != 2 {
		t.Errorf("got status %d and %d messages, want 200, a beat and a boot", status, whole)
	}
	for _, c := range []struct{ device, body string }{
		{"bike-2", `{"frames":[]}`},
		{"bike-1", `{"frames":["zz"]}`},
		{"bike-1", `{"frames":["` + strings.Repeat(`00","`, mostFrames) + `00"]}`},
	} {
		if status, _ := call(c.device, c.body); status != http.StatusBadRequest {
			t.Errorf("%s with %.40s: got status %d, want 400", c.device, c.body, status)
		}
	}
	if status, _ := call("bike-3", `{"frames":[]}`); status != http.StatusNotFound {
		t.Errorf("an unknown device: got status %d, want 404", status)
	}
}
