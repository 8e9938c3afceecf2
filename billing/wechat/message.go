package wechat

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/unlatch/unlatch/billing"
)

// ErrNotWanted: the rider does not want this message, or has not asked for another.
// Sending it again is pointless.
var ErrNotWanted = errors.New("the rider did not ask for this message")

// Message is one subscribe message. A rider's consent is good for one.
type Message struct {
	To       billing.Payer
	Template string
	Page     string // where a tap leads, no leading slash; "" = nowhere
	// Data are the template's values by key, such as "thing1"; what is too long for the
	// key's sort is clipped.
	Data map[string]string
	Lang string // "" = zh_CN
}

// Messenger sends subscribe messages. They are best effort: nothing may depend on
// one being read.
type Messenger struct {
	app   *App
	state string
}

// NewMessenger opens messages of the given state of the mini-program: "formal" (also
// ""), "trial" or "developer". Its only error is ErrMisconfigured.
func NewMessenger(app *App, state string) (*Messenger, error) {
	switch state {
	case "":
		state = "formal"
	case "formal", "trial", "developer":
	default:
		return nil, fmt.Errorf("%w: the state of the mini-program is formal, trial or developer", ErrMisconfigured)
	}
	return &Messenger{app: app, state: state}, nil
}

// Send sends one message.
//
// Errors: ErrNotWanted, ErrBusy (it may have been sent), ErrMisconfigured (template,
// page or a value's key; the text says which), ErrUnexpected.
func (m *Messenger) Send(ctx context.Context, message Message) error {
	if err := m.send(ctx, message); err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	return nil
}

func (m *Messenger) send(ctx context.Context, message Message) error {
	if message.To == "" || message.Template == "" {
		return fmt.Errorf("%w: a message needs a rider and a template", ErrMisconfigured)
	}
	type text struct {
		Value string `json:"value"`
	}
	in := struct {
		To       string          `json:"touser"`
		Template string          `json:"template_id"`
		Page     string          `json:"page,omitempty"`
		Data     map[string]text `json:"data"`
		State    string          `json:"miniprogram_state"`
		Lang     string          `json:"lang"`
	}{string(message.To), message.Template, message.Page, map[string]text{}, m.state, message.Lang}
	if in.Lang == "" {
		in.Lang = "zh_CN"
	}
	for key, value := range message.Data {
		in.Data[key] = text{fit(key, value)}
	}
	err := m.app.call(ctx, "/cgi-bin/message/subscribe/send", in, &struct{}{})
	var refused *fault
	value := "a value"
	if errors.As(err, &refused) {
		if found := valueText.FindStringSubmatch(refused.message); found != nil {
			value = "the value of " + found[1]
		}
	}
	return apiError(err, map[int]error{
		43101: ErrNotWanted,
		40003: ErrNotWanted, // nobody of this mini-program, or not any more
		40037: fmt.Errorf("%w: the template id is not one of this mini-program", ErrMisconfigured),
		41030: fmt.Errorf("%w: the page is not in the released version", ErrMisconfigured),
		47003: fmt.Errorf("%w: %s does not fit the template", ErrMisconfigured, value),
	})
}

// valueText finds the key that an errmsg complains about.
var valueText = regexp.MustCompile(`data\.([a-z_]{1,32}[0-9]{1,4})\b`)

// valueLimits is how many characters a value of each sort may have. Sorts that a
// clipped value would falsify (amount, date, time) are sent as they are.
var valueLimits = map[string]int{
	"thing": 20, "number": 32, "letter": 32, "symbol": 5, "character_string": 32,
	"phone_number": 17, "car_number": 8, "phrase": 5,
}

// fit makes a value one that WeChat takes: one line, and as long as the key's sort
// allows.
func fit(key, value string) string {
	value = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(value, ""), unicode.IsControl), " ")
	sort := strings.TrimRight(key, "0123456789")
	most, limited := valueLimits[sort]
	if sort == "name" {
		most, limited = 20, true
		if strings.ContainsFunc(value, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			most = 10
		}
	}
	if !limited || utf8.RuneCountInString(value) <= most {
		return value
	}
	if sort == "thing" { // the one sort that is prose
		return clip(value, most-1) + "…"
	}
	return clip(value, most)
}
