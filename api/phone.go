package api

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Phones asks WeChat which number a phone button gave.
type Phones interface {
	// Phone exchanges a button's code, which must be that of the rider. ErrLoginCode,
	// ErrLoginBusy.
	Phone(ctx context.Context, rider, code string) (number string, err error)
}

func (a *API) phoneRoutes(h huma.API) {
	op := forRiders("set-my-phone", http.MethodPost, "/v1/me/phone", "Give my phone number, so that staff find me by it")
	op.Description = "The code is that of WeChat's phone button. The number is kept encrypted; forget takes it away."
	register(a, h, op, a.setMyPhone)
	register(a, h, forRiders("get-my-phone", http.MethodGet, "/v1/me/phone", "The last digits of the number that I gave"), a.getMyPhone)
	register(a, h, forRiders("forget-my-phone", http.MethodPost, "/v1/me/phone/forget", "Take my number away"), a.forgetMyPhone)
}

func (a *API) riderFindRoutes(h huma.API) {
	op := forStaff("find-riders", http.MethodPost, "/v1/operator/riders/find", "Find riders by phone number, order or time")
	op.Description += " What is given must all be so; from and to ask who used something then. It is in the audit, without the number."
	register(a, h, op, a.findRiders)
}

// PhoneBody is the code of a phone button.
type PhoneBody struct {
	Code string `json:"code" minLength:"1" maxLength:"256"`
}

// Phone is a number of which only the end is shown.
type Phone struct {
	Given bool   `json:"given"`
	Ends  string `json:"ends,omitempty" doc:"Its last four digits"`
}

type setMyPhoneInput struct{ Body PhoneBody }

type phoneOutput struct{ Body Phone }

func phoneOf(number string) *phoneOutput {
	return &phoneOutput{Phone{Given: number != "", Ends: number[max(len(number)-4, 0):]}}
}

func (a *API) setMyPhone(ctx context.Context, in *setMyPhoneInput) (*phoneOutput, error) {
	if a.Phones == nil {
		return nil, errPhoneOff
	}
	rider := riderOf(ctx).rider
	number, err := a.Phones.Phone(ctx, rider, in.Body.Code)
	if err != nil {
		return nil, err
	}
	if err := a.Store.SetPhone(ctx, rider, number); err != nil {
		return nil, instead(err, errRiderUnknown)
	}
	return phoneOf(number), nil
}

func (a *API) getMyPhone(ctx context.Context, _ *struct{}) (*phoneOutput, error) {
	number, err := a.Store.Phone(ctx, riderOf(ctx).rider)
	if err != nil {
		return nil, err
	}
	return phoneOf(number), nil
}

func (a *API) forgetMyPhone(ctx context.Context, _ *struct{}) (*struct{}, error) {
	return nil, instead(a.Store.SetPhone(ctx, riderOf(ctx).rider, ""), errRiderUnknown)
}

// FindBody is what is known of who is looked for; at least one of phone, order and from.
type FindBody struct {
	Phone  string     `json:"phone,omitempty" maxLength:"24" doc:"With + and its country, or a number of mainland China"`
	Order  string     `json:"order,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9_-]*$"`
	Device string     `json:"device,omitempty" maxLength:"24" pattern:"^[A-Za-z0-9_-]*$"`
	From   *time.Time `json:"from,omitempty"`
	To     *time.Time `json:"to,omitempty" doc:"At most 31 days after from with a device, one day without; ten minutes unless given"`
	Reason string     `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S" doc:"Kept in the audit"`
}

// RiderList is riders, newest first.
type RiderList struct {
	Riders []Rider `json:"riders"`
}

type findRidersInput struct{ Body FindBody }

type findRidersOutput struct{ Body RiderList }

var phoneDigits = regexp.MustCompile(`^\+[1-9][0-9]{5,18}$`)

// How much one question may ask.
const (
	findMost      = 100                 // riders are listed
	findSpan      = 31 * 24 * time.Hour // of one device
	findSpanOfAll = 24 * time.Hour      // of all devices
)

func (a *API) findRiders(ctx context.Context, in *findRidersInput) (*findRidersOutput, error) {
	b := in.Body
	q := order.RiderQuery{Order: b.Order, Device: device.ID(b.Device), Limit: findMost}
	asked := []string{}
	if b.Phone != "" {
		q.Phone = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(b.Phone)
		if rest, ok := strings.CutPrefix(q.Phone, "00"); ok {
			q.Phone = "+" + rest
		} else if !strings.HasPrefix(q.Phone, "+") {
			q.Phone = "+86" + q.Phone
		}
		if !phoneDigits.MatchString(q.Phone) {
			return nil, invalid("phone must be digits, with + and the country where it is not of mainland China")
		}
		asked = append(asked, "phone")
	}
	if b.Order != "" {
		asked = append(asked, "order")
	}
	if b.From != nil {
		q.From, q.To = *b.From, b.From.Add(10*time.Minute)
		if b.To != nil {
			q.To = *b.To
		}
		switch span := q.To.Sub(q.From); {
		case span <= 0:
			return nil, invalid("to must be after from")
		case span > findSpan:
			return nil, invalid("the span is longer than 31 days")
		case span > findSpanOfAll && q.Device == "":
			return nil, invalid("the span is longer than a day; name a device, or take a shorter one")
		}
		asked = append(asked, "time")
	}
	if len(asked) == 0 || b.From == nil && (b.To != nil || b.Device != "") {
		return nil, invalid("give a phone, an order or from; a device and to belong to from")
	}
	rows, err := a.Store.FindRiders(ctx, q, audit(ctx, "rider.find", "riders", b.Reason, map[string]any{"by": asked}))
	if err != nil {
		return nil, err
	}
	return &findRidersOutput{RiderList{each(rows, riderRowOf)}}, nil
}
