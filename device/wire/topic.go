package wire

import "strings"

const topicPrefix = "ul/1/"

// UplinkFilter is the MQTT filter under which a server hears every device.
const UplinkFilter = topicPrefix + "+/up/+"

// Channel is what a topic carries.
type Channel uint8

// The channels of version 1. The zero Channel is none of them.
const (
	ChannelCommand   Channel = iota + 1 // down: signed commands
	ChannelEvidence                     // up: signed evidence and beats
	ChannelTelemetry                    // up: unsigned, droppable state
	ChannelPresence                     // up: birth and last will, for display only
)

var channelSuffixes = map[Channel]string{
	ChannelCommand:   "/cmd",
	ChannelEvidence:  "/up/evt",
	ChannelTelemetry: "/up/tel",
	ChannelPresence:  "/up/pre",
}

// String is the channel's last topic level, "unknown" for any other value.
func (c Channel) String() string {
	suffix, ok := channelSuffixes[c]
	if !ok {
		return "unknown"
	}
	return suffix[strings.LastIndexByte(suffix, '/')+1:]
}

// CommandTopic is where device hears its commands: QoS 0, clean session, never retained.
func CommandTopic(device string) string { return topicPrefix + device + "/cmd" }

// EvidenceTopic is where device sends evidence and beats.
func EvidenceTopic(device string) string { return topicPrefix + device + "/up/evt" }

// TelemetryTopic is where device sends telemetry.
func TelemetryTopic(device string) string { return topicPrefix + device + "/up/tel" }

// PresenceTopic is where device says that it is there and where its last will
// says that it is gone; never retained.
func PresenceTopic(device string) string { return topicPrefix + device + "/up/pre" }

// ParseTopic takes a topic of any channel apart. It returns ErrMalformed for
// anything that the four functions above would not build for a valid device,
// topics of other versions included.
func ParseTopic(topic string) (device string, ch Channel, err error) {
	rest, ok := strings.CutPrefix(topic, topicPrefix)
	if !ok {
		return "", 0, malformed("topic %q", topic)
	}
	device, suffix := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		device, suffix = rest[:i], rest[i:]
	}
	switch suffix {
	case "/cmd":
		ch = ChannelCommand
	case "/up/evt":
		ch = ChannelEvidence
	case "/up/tel":
		ch = ChannelTelemetry
	case "/up/pre":
		ch = ChannelPresence
	}
	if ch == 0 || !ValidDevice(device) {
		return "", 0, malformed("topic %q", topic)
	}
	return device, ch, nil
}

// ValidDevice reports whether id may name a device: 1 to 24 of [A-Za-z0-9_-].
// No other character can reach a topic, so none can become a wildcard.
func ValidDevice(id string) bool {
	if len(id) == 0 || len(id) > 24 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
