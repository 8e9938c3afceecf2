package order

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/unlatch/unlatch/device"
)

// Class is how far a code may be trusted, which sets what may be spent on it.
type Class string

// Printed codes can be copied or pasted over. Rotating ones were on a device's
// screen within the last minutes. Staff's own offers need no code.
const (
	Uncoded  Class = ""
	Printed  Class = "printed"
	Rotating Class = "rotating"
)

// Ticket is a one-time permission to order. It is a keyed token that the rider
// carries, so that a scan writes nothing; only its use is stored.
type Ticket struct {
	ID      string    `json:"i"`
	Rider   string    `json:"r"`
	Device  device.ID `json:"d"`
	Outlet  uint8     `json:"o"`
	Epoch   uint32    `json:"e"`
	Venue   string    `json:"u,omitempty"` // "" in tickets of programs that did not name it
	Tariff  string    `json:"t"`
	Version int       `json:"v"`
	Class   Class     `json:"c,omitempty"`
	Kiosk   bool      `json:"k,omitempty"` // the code hangs at the kiosk, not at the device
	Expires int64     `json:"x"`           // unix ms, database clock
}

// Tickets makes and opens tickets. Secret is at least 16 bytes, the same on
// every replica.
type Tickets struct{ Secret []byte }

func (t Tickets) sum(body []byte) []byte {
	mac := hmac.New(sha256.New, t.Secret)
	mac.Write([]byte("ticket"))
	mac.Write(body)
	return mac.Sum(nil)[:16]
}

// Make returns the token of a ticket; its ID is drawn from random.
func (t Tickets) Make(random io.Reader, ticket Ticket) (string, error) {
	var id [12]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return "", fmt.Errorf("draw a ticket id: %w", err)
	}
	ticket.ID = base64.RawURLEncoding.EncodeToString(id[:])
	body, err := json.Marshal(ticket)
	if err != nil {
		return "", fmt.Errorf("write ticket: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(t.sum(body), body...)), nil
}

// Open returns the ticket of a token, ErrTicketInvalid when it was not made with
// this secret. It does not look at the time.
func (t Tickets) Open(token string) (Ticket, error) {
	var ticket Ticket
	if len(token) > 512 {
		return ticket, ErrTicketInvalid
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < 16 || !hmac.Equal(raw[:16], t.sum(raw[16:])) {
		return ticket, ErrTicketInvalid
	}
	if err := json.Unmarshal(raw[16:], &ticket); err != nil {
		return ticket, ErrTicketInvalid
	}
	return ticket, nil
}

// expired tells whether the ticket's life is over at now.
func (t Ticket) expired(now time.Time) bool { return now.UnixMilli() > t.Expires }
