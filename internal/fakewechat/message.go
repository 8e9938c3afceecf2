package fakewechat

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Template is a subscribe message of the account.
type Template struct {
	ID string
	// Keys are the placeholders, each a type and a number, as "thing1".
	Keys []string
}

// Message is a subscribe message that was sent.
type Message struct {
	At         time.Time         `json:"at"`
	Rider      string            `json:"rider"`
	OpenID     string            `json:"openid"`
	TemplateID string            `json:"template_id"`
	Page       string            `json:"page,omitempty"`
	Data       map[string]string `json:"data"`
	// State is developer, trial or formal.
	State string `json:"miniprogram_state"`
}

// Messages are the subscribe messages sent so far, oldest first.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message{}, s.messages...)
}

// Accept is a rider who allows n more messages of a template; they add up. Its
// errors are ErrUnknownRider and complaints about template and number.
func (s *Server) Accept(name, templateID string, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.riders[name]
	switch {
	case r == nil:
		return ErrUnknownRider
	case templateID == "" || n < 1:
		return errors.New("a template id and a positive number are required")
	case s.templates != nil && s.templates[templateID] == nil:
		return errors.New("unknown template")
	}
	r.accepts[templateID] += n
	return nil
}

// sendMessage is POST /cgi-bin/message/subscribe/send.
func (s *Server) sendMessage(body []byte, now time.Time) (any, *refusal) {
	var in struct {
		ToUser     string `json:"touser"`
		TemplateID string `json:"template_id"`
		Page       string `json:"page"`
		Data       map[string]struct {
			Value string `json:"value"`
		} `json:"data"`
		State string `json:"miniprogram_state"`
		Lang  string `json:"lang"`
	}
	if refused := readAPI(body, &in); refused != nil {
		return nil, refused
	}
	r := s.byOpenID[in.ToUser]
	keys, known := s.templates[in.TemplateID]
	switch {
	case r == nil:
		return nil, &refusal{40003, "invalid openid"}
	case in.TemplateID == "" || (s.templates != nil && !known):
		return nil, &refusal{40037, "invalid template_id"}
	case !s.hasPage(in.Page):
		return nil, &refusal{41030, "invalid page"}
	case !slices.Contains([]string{"", "developer", "trial", "formal"}, in.State),
		!slices.Contains([]string{"", "zh_CN", "en_US", "zh_HK", "zh_TW"}, in.Lang):
		return nil, &refusal{40097, "invalid args"}
	}
	if s.templates == nil {
		keys = slices.Sorted(maps.Keys(in.Data))
	}
	for _, key := range keys {
		value, given := in.Data[key]
		if !given || value.Value == "" {
			return nil, &refusal{47003, "argument invalid! data." + key + ".value is empty"}
		}
		if !fits(key, value.Value) {
			return nil, &refusal{47003, "argument invalid! data." + key + ".value invalid"}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(in.Data)) {
		if !slices.Contains(keys, key) {
			return nil, &refusal{47003, "argument invalid! data." + key + " is not in the template"}
		}
	}
	if r.accepts[in.TemplateID] == 0 {
		return nil, &refusal{43101, "user refuse to accept the msg"}
	}
	r.accepts[in.TemplateID]--
	m := Message{
		At: now, Rider: r.name, OpenID: r.openID, TemplateID: in.TemplateID, Page: in.Page, Data: map[string]string{}, State: in.State,
	}
	if m.State == "" {
		m.State = "formal"
	}
	for key, value := range in.Data {
		m.Data[key] = value.Value
	}
	s.messages = append(s.messages, m)
	return ok, nil
}

// hasPage reports whether the released version has a page; a query may follow it, and
// none at all is the home page.
func (s *Server) hasPage(page string) bool {
	path, _, _ := strings.Cut(page, "?")
	return page == "" || (!strings.HasPrefix(path, "/") && (s.pages == nil || s.pages[path]))
}

const chineseDate = `\d{4}(年\d{1,2}月\d{1,2}日|[-/.]\d{1,2}[-/.]\d{1,2})`

var (
	keyForm   = regexp.MustCompile(`^([a-z_]+)\d+$`)
	dateForm  = regexp.MustCompile(`^` + chineseDate + `( \d{1,2}:\d{2}(:\d{2})?)?(~` + chineseDate + `( \d{1,2}:\d{2}(:\d{2})?)?)?$`)
	timeForm  = regexp.MustCompile(`^(` + chineseDate + ` ?)?\d{1,2}:\d{2}(:\d{2})?(~(` + chineseDate + ` ?)?\d{1,2}:\d{2}(:\d{2})?)?$`)
	moneyForm = regexp.MustCompile(`^\D?\d{1,10}(\.\d+)?元?$`)
	countForm = regexp.MustCompile(`^\d+(\.\d+)?$`)
)

// fits applies the limits of each type of value; a key of an unknown type fits
// nothing.
func fits(key, value string) bool {
	m := keyForm.FindStringSubmatch(key)
	if m == nil {
		return false
	}
	length, ascii := utf8.RuneCountInString(value), len(value) == utf8.RuneCountInString(value)
	switch m[1] {
	case "thing":
		return length <= 20
	case "number":
		return length <= 32 && countForm.MatchString(value)
	case "letter":
		return length <= 32 && made(strings.ToUpper(value), "") && !strings.ContainsAny(value, "0123456789")
	case "symbol":
		return length <= 5
	case "character_string":
		return length <= 32 && ascii
	case "time":
		return timeForm.MatchString(value) || dateForm.MatchString(value) && strings.Contains(value, ":")
	case "date":
		return dateForm.MatchString(value)
	case "amount":
		return moneyForm.MatchString(value)
	case "phone_number":
		return length <= 17 && strings.Trim(value, "0123456789+-() ") == ""
	case "car_number":
		return length <= 8
	case "name":
		return (ascii && length <= 20) || (!ascii && length <= 10)
	case "phrase":
		return length <= 5 && !ascii
	}
	return false
}
