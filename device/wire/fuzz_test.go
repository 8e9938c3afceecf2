package wire

import (
	"encoding/hex"
	"reflect"
	"testing"
)

// The fuzz targets start from the golden vectors. What decodes must encode, and
// decode again to the same; nothing may panic.

func seedPayloads(f *testing.F, kind string) {
	f.Helper()
	for _, v := range loadVectors(f).Good {
		if v.Type != kind {
			continue
		}
		source := v.Payload
		if source == "" {
			source = v.Bytes
		}
		payload, err := hex.DecodeString(source)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
}

func FuzzDecodeCommand(f *testing.F) {
	seedPayloads(f, "command")
	h := NewKeyedHash(nil)
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := decodeCommand(payload)
		if err != nil {
			if errorWord(err) == "" {
				t.Fatalf("error %v is none of ours", err)
			}
			return
		}
		b, err := SealCommand(h, vectorDevice, c)
		if errorWord(err) == "too_large" {
			return
		}
		if err != nil {
			t.Fatalf("decoded %+v and cannot seal it: %v", c, err)
		}
		if again, err := OpenCommand(h, vectorDevice, b); err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("decoded %+v, sealed and opened %+v, %v", c, again, err)
		}
	})
}

func FuzzDecodeUplink(f *testing.F) {
	seedPayloads(f, "uplink")
	h := NewKeyedHash(nil)
	f.Fuzz(func(t *testing.T, payload []byte) {
		u, err := decodeUplink(payload)
		if err != nil {
			if errorWord(err) == "" {
				t.Fatalf("error %v is none of ours", err)
			}
			return
		}
		if (u.Evidence == nil) == (u.Beat == nil) {
			t.Fatalf("got %+v, want exactly one message", u)
		}
		var b []byte
		if u.Beat != nil {
			b, err = SealBeat(h, vectorDevice, *u.Beat)
		} else {
			b, err = SealEvidence(h, vectorDevice, *u.Evidence)
		}
		if errorWord(err) == "too_large" {
			return
		}
		if err != nil {
			t.Fatalf("decoded %+v and cannot seal it: %v", u, err)
		}
		if again, err := OpenUplink(h, vectorDevice, b); err != nil || !reflect.DeepEqual(again, u) {
			t.Fatalf("decoded %+v, sealed and opened %+v, %v", u, again, err)
		}
	})
}

func FuzzDecodeTelemetry(f *testing.F) {
	seedPayloads(f, "telemetry")
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeTelemetry(b)
		if err != nil {
			if errorWord(err) == "" {
				t.Fatalf("error %v is none of ours", err)
			}
			return
		}
		b, err = EncodeTelemetry(m)
		if err != nil {
			t.Fatalf("decoded %+v and cannot encode it: %v", m, err)
		}
		if again, err := DecodeTelemetry(b); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("decoded %+v, again %+v, %v", m, again, err)
		}
	})
}

func FuzzDecodePresence(f *testing.F) {
	seedPayloads(f, "presence")
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodePresence(b)
		if err != nil {
			if errorWord(err) == "" {
				t.Fatalf("error %v is none of ours", err)
			}
			return
		}
		b, err = EncodePresence(m)
		if err != nil {
			t.Fatalf("decoded %+v and cannot encode it: %v", m, err)
		}
		if again, err := DecodePresence(b); err != nil || again != m {
			t.Fatalf("decoded %+v, again %+v, %v", m, again, err)
		}
	})
}

// FuzzOpen attacks the frame: nothing but the vectors' own bytes may open.
func FuzzOpen(f *testing.F) {
	golden := map[string]bool{}
	for _, v := range loadVectors(f).Good {
		if v.Key != "" {
			f.Add(v.bytes(f))
			golden[v.Bytes] = true
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range vectorVerifiers {
			if _, err := open(v, vectorDevice, b, MaxUplink); err == nil && !golden[hex.EncodeToString(b)] {
				t.Fatalf("%x opens and nobody signed it", b)
			}
		}
	})
}

func FuzzParseTopic(f *testing.F) {
	for _, topic := range []string{CommandTopic("a"), EvidenceTopic("a"), TelemetryTopic("a"), PresenceTopic("a"), "ul/1/+/cmd"} {
		f.Add(topic)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		device, ch, err := ParseTopic(topic)
		if err != nil {
			return
		}
		build := map[Channel]func(string) string{ChannelCommand: CommandTopic, ChannelEvidence: EvidenceTopic,
			ChannelTelemetry: TelemetryTopic, ChannelPresence: PresenceTopic}[ch]
		if build == nil || build(device) != topic || !ValidDevice(device) {
			t.Fatalf("ParseTopic(%q) = %q, %v", topic, device, ch)
		}
	})
}
