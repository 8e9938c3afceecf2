package wire

import "time"

// A device of a kind with a second road speaks to one phone at a time over Bluetooth
// Low Energy: the same sealed messages as over MQTT, cut into frames. It advertises
// ServiceUUID under its device id as name; docs/protocol.md, P10.
const (
	// ServiceUUID is the GATT service. Drawn at random for unlatch; nothing is encoded in it.
	ServiceUUID = "3c4cd4a3-ff48-4e5a-a37f-8719f6dfef2e"
	// DownUUID is the characteristic that a phone writes commands and acks to.
	DownUUID = "3c4cd4a4-ff48-4e5a-a37f-8719f6dfef2e"
	// UpUUID is the characteristic that notifies a phone of evidence and beats.
	UpUUID = "3c4cd4a5-ff48-4e5a-a37f-8719f6dfef2e"
)

const (
	// MaxFrame is the most bytes of a frame: what every phone can write at once.
	MaxFrame = 20
	// MaxFramed is the most bytes of a message in frames.
	MaxFramed = MaxUplink
	// FrameSilence is how long an Assembler waits for the next frame of a message.
	FrameSilence = 5 * time.Second

	frameFirst  = 0x80 // this frame begins a message
	frameIndex  = 0x7f // its number within the message, modulo 128
	frameHead   = 1
	frameLength = 2 // of the first frame's length, big-endian
)

// Frames cuts a sealed message of 1 to MaxFramed bytes into frames of at most
// MaxFrame, all full but the last. nil: the message has another length.
func Frames(message []byte) [][]byte {
	if len(message) == 0 || len(message) > MaxFramed {
		return nil
	}
	var frames [][]byte
	for rest, n := message, 0; len(rest) > 0; n++ {
		frame := make([]byte, 0, MaxFrame)
		if n == 0 {
			frame = append(frame, frameFirst, byte(len(message)>>8), byte(len(message)))
		} else {
			frame = append(frame, byte(n&frameIndex))
		}
		part := min(len(rest), MaxFrame-len(frame))
		frames = append(frames, append(frame, rest[:part]...))
		rest = rest[part:]
	}
	return frames
}

// Assembler joins frames to messages. Its zero value is ready. It holds at most one
// message; whatever does not continue that one drops it, and the next first frame
// begins anew. What comes out is as the peer wrote it: nobody has vouched for it yet.
type Assembler struct {
	message []byte
	want    int // its announced length; 0: none has begun
	next    byte
	at      time.Duration
}

// Add takes in one frame; now is on any clock that only rises. ok: message is complete,
// and the caller's to keep. A first frame in the middle of a message begins another.
func (a *Assembler) Add(frame []byte, now time.Duration) (message []byte, ok bool) {
	if a.want > 0 && now-a.at >= FrameSilence {
		a.drop()
	}
	a.at = now
	if len(frame) == 0 || len(frame) > MaxFrame {
		a.drop()
		return nil, false
	}
	body := frame[frameHead:]
	if frame[0]&frameFirst != 0 {
		a.drop()
		if frame[0] != frameFirst || len(body) <= frameLength {
			return nil, false
		}
		length := int(body[0])<<8 | int(body[1])
		if length < 1 || length > MaxFramed {
			return nil, false
		}
		a.want, body = length, body[frameLength:]
	}
	if a.want == 0 {
		return nil, false
	}
	if frame[0]&frameIndex != a.next || len(body) == 0 || len(a.message)+len(body) > a.want {
		a.drop()
		return nil, false
	}
	a.message, a.next = append(a.message, body...), (a.next+1)&frameIndex
	if len(a.message) < a.want {
		return nil, false
	}
	message = a.message
	a.drop()
	return message, true
}

func (a *Assembler) drop() { a.message, a.want, a.next = nil, 0, 0 }
