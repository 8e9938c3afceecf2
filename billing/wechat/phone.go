package wechat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"github.com/unlatch/unlatch/billing"
)

// PhoneNumber is a person's number with its country, "+8613800138000". It is personal
// data and shows as *** however it is printed; string(n) gives it.
type PhoneNumber string

// Format hides the value under every verb.
func (PhoneNumber) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// LogValue hides the value.
func (PhoneNumber) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText hides the value in JSON, of logs above all.
func (PhoneNumber) MarshalText() ([]byte, error) { return []byte(mask), nil }

var (
	countryText = regexp.MustCompile(`^[1-9][0-9]{0,3}$`)
	phoneText   = regexp.MustCompile(`^[0-9]{4,15}$`)
)

// Phone exchanges the code of a phone button, which is not a login code, for the
// number. With a payer WeChat also checks that the code is theirs.
//
// Errors: ErrBadCode, ErrBusy, ErrMisconfigured, ErrUnexpected.
func (a *App) Phone(ctx context.Context, code string, payer billing.Payer) (PhoneNumber, error) {
	number, err := a.phone(ctx, code, payer)
	if err != nil {
		return "", fmt.Errorf("exchange phone code: %w", err)
	}
	return number, nil
}

func (a *App) phone(ctx context.Context, code string, payer billing.Payer) (PhoneNumber, error) {
	if code == "" || len(code) > maxLoginCode {
		return "", fmt.Errorf("%w: %d characters", ErrBadCode, len(code))
	}
	in := struct {
		Code   string `json:"code"`
		OpenID string `json:"openid,omitempty"`
	}{code, string(payer)}
	var out struct {
		Info struct {
			Pure      string          `json:"purePhoneNumber"`
			Country   json.RawMessage `json:"countryCode"` // a number or a string, depending on the page
			Watermark struct {
				AppID string `json:"appid"`
			} `json:"watermark"`
		} `json:"phone_info"`
	}
	if err := a.call(ctx, "/wxa/business/getuserphonenumber", in, &out); err != nil {
		return "", apiError(err, map[int]error{40029: ErrBadCode, 40163: ErrBadCode, 40003: ErrBadCode})
	}
	country := strings.Trim(string(out.Info.Country), `"`)
	if !countryText.MatchString(country) || !phoneText.MatchString(out.Info.Pure) {
		return "", fmt.Errorf("%w: no phone number", ErrUnexpected)
	}
	if out.Info.Watermark.AppID != a.appID {
		return "", fmt.Errorf("%w: the number was given to another app", ErrUnexpected)
	}
	return PhoneNumber("+" + country + out.Info.Pure), nil
}
