package fakewechat

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"time"
)

const (
	sceneExtra      = "!#$&'()*+,/:;=?@-._~"
	codesPerMinute  = 5000
	linksPerDay     = 500000
	longestLinkDays = 30
)

var envVersions = []string{"", "release", "trial", "develop"}

// sunCode is POST /wxa/getwxacodeunlimit. The picture has the size that was asked for
// and nothing on it.
func (s *Server) sunCode(body []byte, now time.Time) (any, *refusal) {
	in := struct {
		Scene      string `json:"scene"`
		Page       string `json:"page"`
		CheckPath  bool   `json:"check_path"`
		EnvVersion string `json:"env_version"`
		Width      int    `json:"width"`
		AutoColor  bool   `json:"auto_color"`
		LineColor  struct {
			R any `json:"r"`
			G any `json:"g"`
			B any `json:"b"`
		} `json:"line_color"`
		IsHyaline bool `json:"is_hyaline"`
	}{CheckPath: true, Width: 430}
	if refused := readAPI(body, &in); refused != nil {
		return nil, refused
	}
	switch {
	case len(in.Scene) < 1 || len(in.Scene) > 32 || !made(in.Scene, sceneExtra):
		return nil, &refusal{40169, "invalid length for scene, or the data is not json string"}
	case strings.HasPrefix(in.Page, "/") || strings.ContainsAny(in.Page, "?#"):
		return nil, &refusal{41030, "invalid page"}
	case in.CheckPath && !s.hasPage(in.Page):
		return nil, &refusal{41030, "invalid page"}
	case in.Width < 280 || in.Width > 1280, !slices.Contains(envVersions, in.EnvVersion):
		return nil, &refusal{40097, "invalid args"}
	case !s.quotas.spend("sun code", minute(now), codesPerMinute):
		return nil, &refusal{45009, "reach max api minute quota limit"}
	}
	var out bytes.Buffer
	white := color.Palette{color.White}
	if err := png.Encode(&out, image.NewPaletted(image.Rect(0, 0, in.Width, in.Width), white)); err != nil {
		return nil, busy
	}
	return picture(out.Bytes()), nil
}

// linkTerm is how long a scheme or a link is good.
type linkTerm struct {
	IsExpire       bool  `json:"is_expire"`
	ExpireType     int   `json:"expire_type"` // 0 a time, 1 a number of days
	ExpireTime     int64 `json:"expire_time"` // unix seconds
	ExpireInterval int   `json:"expire_interval"`
}

func (t linkTerm) check(now time.Time) *refusal {
	long := &refusal{85400, "expire time invalid or longer than 30 days"}
	switch {
	case t.ExpireType != 0 && t.ExpireType != 1:
		return &refusal{40097, "invalid args"}
	case t.ExpireType == 1 && (t.ExpireInterval < 1 || t.ExpireInterval > longestLinkDays):
		return long
	case t.ExpireType == 0 && t.ExpireTime != 0:
		left := time.Unix(t.ExpireTime, 0).Sub(now)
		if left <= 0 || left > longestLinkDays*24*time.Hour {
			return long
		}
	case t.ExpireType == 0 && t.IsExpire:
		return long
	}
	return nil
}

// checkLink is what both kinds of links share. Their pages begin with a slash or not.
func (s *Server) checkLink(path, query, env string, term linkTerm, now time.Time) *refusal {
	switch {
	case strings.ContainsAny(path, "?#") || !s.hasPage(strings.TrimPrefix(path, "/")):
		return &refusal{40165, "invalid weapp pagepath"}
	case len(query) > 1024 || !made(query, sceneExtra+"%"):
		return &refusal{40212, "invalid query"}
	case !slices.Contains(envVersions, env):
		return &refusal{40097, "invalid args"}
	}
	if refused := term.check(now); refused != nil {
		return refused
	}
	if !s.quotas.spend("link", day(now), linksPerDay) {
		return &refusal{44993, "generate scheme or link reach max quota limit"}
	}
	return nil
}

// urlScheme is POST /wxa/generatescheme.
func (s *Server) urlScheme(body []byte, now time.Time) (any, *refusal) {
	var in struct {
		Jump struct {
			Path       string `json:"path"`
			Query      string `json:"query"`
			EnvVersion string `json:"env_version"`
		} `json:"jump_wxa"`
		linkTerm
	}
	if refused := readAPI(body, &in); refused != nil {
		return nil, refused
	}
	if refused := s.checkLink(in.Jump.Path, in.Jump.Query, in.Jump.EnvVersion, in.linkTerm, now); refused != nil {
		return nil, refused
	}
	b, err := s.draw(9)
	if err != nil {
		return nil, busy
	}
	return struct {
		fine
		Link string `json:"openlink"`
	}{ok, "weixin://dl/business/?t=" + base64.RawURLEncoding.EncodeToString(b)}, nil
}

// urlLink is POST /wxa/generate_urllink.
func (s *Server) urlLink(body []byte, now time.Time) (any, *refusal) {
	var in struct {
		Path       string `json:"path"`
		Query      string `json:"query"`
		EnvVersion string `json:"env_version"`
		linkTerm
	}
	if refused := readAPI(body, &in); refused != nil {
		return nil, refused
	}
	if refused := s.checkLink(in.Path, in.Query, in.EnvVersion, in.linkTerm, now); refused != nil {
		return nil, refused
	}
	b, err := s.draw(9)
	if err != nil {
		return nil, busy
	}
	return struct {
		fine
		Link string `json:"url_link"`
	}{ok, "https://wxaurl.cn/" + base64.RawURLEncoding.EncodeToString(b)}, nil
}
