package fakewechat

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// phoneCode is what the phone-number button gives; it is no login code.
type phoneCode struct {
	rider  *rider
	number string // of mainland China, 11 digits
	minted time.Time
	used   bool
}

// mintPhoneCode is a tap on the phone-number button.
func (s *Server) mintPhoneCode(w http.ResponseWriter, r *http.Request) {
	in, read := adminRead[struct {
		PhoneNumber string `json:"phone_number"`
	}](w, r)
	if !read {
		return
	}
	code, err := s.PhoneCode(r.PathValue("name"), in.PhoneNumber)
	if err != nil {
		adminDone(w, err)
		return
	}
	adminAnswer(w, http.StatusOK, struct {
		PhoneCode string `json:"phone_code"`
	}{code})
}

// PhoneCode is a code for a rider's phone number, good once within five minutes; an
// empty number means one that belongs to the name. Its errors are ErrUnknownRider
// and those of the randomness.
func (s *Server) PhoneCode(name, number string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.riders[name]
	if r == nil {
		return "", ErrUnknownRider
	}
	if number == "" {
		sum := sha256.Sum256([]byte("phone\x00" + name))
		number = fmt.Sprintf("13%09d", binary.BigEndian.Uint64(sum[:])%1e9)
	}
	b, err := s.draw(48)
	if err != nil {
		return "", err
	}
	now := s.now()
	for code, c := range s.phoneCodes {
		if now.Sub(c.minted) > codeLife {
			delete(s.phoneCodes, code)
		}
	}
	code := base64.RawURLEncoding.EncodeToString(b)
	s.phoneCodes[code] = &phoneCode{rider: r, number: number, minted: now}
	return code, nil
}

type phoneAnswer struct {
	fine
	Info phoneInfo `json:"phone_info"`
}

type phoneInfo struct {
	PhoneNumber     string `json:"phoneNumber"`
	PurePhoneNumber string `json:"purePhoneNumber"`
	CountryCode     string `json:"countryCode"`
	Watermark       struct {
		Timestamp int64  `json:"timestamp"`
		AppID     string `json:"appid"`
	} `json:"watermark"`
}

// phoneNumber is POST /wxa/business/getuserphonenumber.
func (s *Server) phoneNumber(body []byte, now time.Time) (any, *refusal) {
	var in struct {
		Code   string `json:"code"`
		OpenID string `json:"openid"`
	}
	if refused := readAPI(body, &in); refused != nil {
		return nil, refused
	}
	if !s.quotas.spend("phone", minute(now), 5000) {
		return nil, tooOften
	}
	c := s.phoneCodes[in.Code]
	if c == nil || c.used || now.Sub(c.minted) > codeLife || (in.OpenID != "" && in.OpenID != c.rider.openID) {
		return nil, &refusal{40029, "invalid code"}
	}
	c.used = true
	answer := phoneAnswer{fine: ok, Info: phoneInfo{
		PhoneNumber: c.number, PurePhoneNumber: strings.TrimPrefix(c.number, "+86"), CountryCode: "86",
	}}
	answer.Info.Watermark.Timestamp, answer.Info.Watermark.AppID = now.Unix(), s.appID
	return answer, nil
}
