package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"
)

const framesFile = "testdata/frames.json"

// frameVector is a message with its frames, or a broken stream with what comes of it.
type frameVector struct {
	Name     string    `json:"name"`
	Message  string    `json:"message_hex,omitempty"`
	Frames   []string  `json:"frames_hex"`
	Messages *[]string `json:"messages_hex,omitempty"`
}

// counting is n bytes that tell their place.
func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func hexes(all [][]byte) []string {
	s := []string{}
	for _, b := range all {
		s = append(s, hex.EncodeToString(b))
	}
	return s
}

// frameVectors are made by hand, but for the frames of whole messages, whose shape
// TestFramesHaveTheirShape holds.
func frameVectors(t testing.TB) []frameVector {
	ack, err := SealCommand(NewSigner(serverKey), vectorDevice, Command{Epoch: 1, Kind: KindAck, Ack: &AckArgs{Journal: Journal{1, 2, 3, 4, 5, 6, 7, 8}, N: 12}})
	if err != nil {
		t.Fatal(err)
	}
	var all []frameVector
	for _, m := range []struct {
		name    string
		message []byte
	}{
		{"one byte", []byte{0xd2}},
		{"exactly one frame", counting(17)},
		{"one byte more than one frame", counting(18)},
		{"exactly two frames", counting(36)},
		{"a sealed ack", ack},
		{"the longest", counting(MaxFramed)},
	} {
		all = append(all, frameVector{Name: m.name, Message: hex.EncodeToString(m.message), Frames: hexes(Frames(m.message))})
	}
	two, three := Frames(counting(20)), Frames(counting(40))
	short := [][]byte{{0x80, 0x00, 0x82, 0xaa}} // 130 bytes, one in each frame: the number wraps
	wrapped := []byte{0xaa}
	for n := 1; n < 130; n++ {
		short, wrapped = append(short, []byte{byte(n % 128), byte(n)}), append(wrapped, byte(n))
	}
	for _, s := range []struct {
		name   string
		frames [][]byte
		whole  [][]byte
	}{
		{"two messages behind each other", slices.Concat(two, three), [][]byte{counting(20), counting(40)}},
		{"frames that are not full, and a number that wraps", short, [][]byte{wrapped}},
		{"a gap drops the message; the next one is whole", slices.Concat([][]byte{three[0], three[2]}, two), [][]byte{counting(20)}},
		{"a frame twice drops the message", [][]byte{three[0], three[1], three[1], three[2]}, nil},
		{"frames out of order drop the message", [][]byte{three[0], three[2], three[1]}, nil},
		{"a first frame in the middle begins anew", slices.Concat(three[:2], two), [][]byte{counting(20)}},
		{"what follows no first frame is nothing", slices.Concat(three[1:], two), [][]byte{counting(20)}},
		{"more than was announced drops the message", slices.Concat([][]byte{{0x80, 0x00, 0x02, 0x01}, {0x01, 0x02, 0x03}}, two), [][]byte{counting(20)}},
		{"more than was announced in the first frame", slices.Concat([][]byte{{0x80, 0x00, 0x01, 0x01, 0x02}}, two), [][]byte{counting(20)}},
		{"an announced length of 0", [][]byte{{0x80, 0x00, 0x00, 0x01}}, nil},
		{"an announced length of 1025", [][]byte{{0x80, 0x04, 0x01, 0x01}}, nil},
		{"a first frame with a number", [][]byte{{0x81, 0x00, 0x01, 0x01}}, nil},
		{"a first frame without payload", [][]byte{{0x80, 0x00, 0x01}}, nil},
		{"a frame without payload drops the message", [][]byte{two[0], {0x01}, two[1]}, nil},
		{"an empty frame drops the message", [][]byte{two[0], {}, two[1]}, nil},
		{"a frame of 21 bytes drops the message", [][]byte{three[0], append([]byte{0x01}, counting(20)...), three[1], three[2]}, nil},
	} {
		messages := hexes(s.whole)
		all = append(all, frameVector{Name: s.name, Frames: hexes(s.frames), Messages: &messages})
	}
	return all
}

func TestFrameVectorsStandAsWritten(t *testing.T) {
	got, err := json.MarshalIndent(frameVectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(framesFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(framesFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the frames of %s are not those that this code makes; write them with -update only if the contract changed", framesFile)
	}
}

func TestFrameVectorsAreJoined(t *testing.T) {
	b, err := os.ReadFile(framesFile)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []frameVector
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 20 {
		t.Fatalf("%s has %d vectors, want at least 20", framesFile, len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			want := []string{v.Message}
			if v.Messages != nil {
				want = *v.Messages
			}
			got := []string{}
			var a Assembler
			for i, f := range v.Frames {
				frame, err := hex.DecodeString(f)
				if err != nil {
					t.Fatal(err)
				}
				if m, ok := a.Add(frame, time.Duration(i)*time.Second); ok {
					got = append(got, hex.EncodeToString(m))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestFramesHaveTheirShape(t *testing.T) {
	for n := 1; n <= MaxFramed; n++ {
		frames := Frames(counting(n))
		if want := 1 + (max(n-17, 0)+18)/19; len(frames) != want {
			t.Fatalf("a message of %d bytes makes %d frames, want %d", n, len(frames), want)
		}
		for i, f := range frames {
			if i < len(frames)-1 && len(f) != MaxFrame || len(f) > MaxFrame {
				t.Fatalf("frame %d of %d bytes: %d bytes long", i, n, len(f))
			}
			if head := byte(i); i == 0 && (f[0] != 0x80 || int(f[1])<<8|int(f[2]) != n) || i > 0 && f[0] != head {
				t.Fatalf("frame %d of %d bytes begins %x", i, n, f[:3])
			}
		}
	}
	for _, n := range []int{0, MaxFramed + 1} {
		if got := Frames(counting(n)); got != nil {
			t.Errorf("a message of %d bytes makes %d frames, want none", n, len(got))
		}
	}
}

func TestSilenceDropsWhatWasCollected(t *testing.T) {
	frames := Frames(counting(20))
	for _, c := range []struct {
		pause time.Duration
		whole bool
	}{{FrameSilence - time.Millisecond, true}, {FrameSilence, false}} {
		var a Assembler
		a.Add(frames[0], time.Hour)
		if _, ok := a.Add(frames[1], time.Hour+c.pause); ok != c.whole {
			t.Errorf("after a pause of %v the message is whole: %v, want %v", c.pause, ok, c.whole)
		}
	}
}

// FuzzAssembler feeds a stream of frames, each behind its length. What comes out was
// announced; cut into frames and joined again it is the same; and what was fed before
// never spoils a whole message behind it.
func FuzzAssembler(f *testing.F) {
	for _, v := range frameVectors(f) {
		var stream []byte
		for _, frame := range v.Frames {
			b, _ := hex.DecodeString(frame)
			stream = append(append(stream, byte(len(b))), b...)
		}
		f.Add(stream)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		var a Assembler
		for len(stream) > 0 {
			n := min(int(stream[0]), len(stream)-1)
			frame := stream[1 : 1+n]
			stream = stream[1+n:]
			m, ok := a.Add(frame, 0)
			if len(a.message) > MaxFramed {
				t.Fatalf("%d bytes are collected", len(a.message))
			}
			if !ok {
				continue
			}
			if len(m) == 0 || len(m) > MaxFramed {
				t.Fatalf("a message of %d bytes", len(m))
			}
		}
		want := counting(40)
		for i, frame := range Frames(want) {
			m, ok := a.Add(frame, 0)
			if last := i == 2; ok != last || ok && !bytes.Equal(m, want) {
				t.Fatalf("frame %d: got %x, %v", i, m, ok)
			}
		}
	})
}

func TestTheDocumentNamesTheServiceAndItsCharacteristics(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{ServiceUUID, DownUUID, UpUUID} {
		if !bytes.Contains(text, []byte("`"+id+"`")) {
			t.Errorf("docs/protocol.md does not name %s", id)
		}
	}
	for _, frame := range Frames(counting(18)) { // its example
		if head, rest := hex.EncodeToString(frame[:1]), hex.EncodeToString(frame[1:]); !bytes.Contains(bytes.ReplaceAll(text, []byte(" "), nil), []byte(head+rest)) {
			t.Errorf("docs/protocol.md does not show the frame %s %s", head, rest)
		}
	}
}
