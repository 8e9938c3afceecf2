package fakewechat

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

const (
	rulesAtMost       = 100
	publishesPerMonth = 100
	jumpCallsASecond  = 5
)

// addRule keeps a rule that is in order.
func (s *Server) addRule(r Rule) *refusal {
	if refused := checkRule(r); refused != nil {
		return refused
	}
	if r.OpenVersion == 0 {
		r.OpenVersion = OpenRelease
	}
	switch {
	case s.findRule(r.Prefix) >= 0:
		return &refusal{85071, "link already added"}
	case len(s.rules) >= rulesAtMost:
		return &refusal{85073, "too many links"}
	}
	s.rules = append(s.rules, r)
	return nil
}

func (s *Server) findRule(prefix string) int {
	return slices.IndexFunc(s.rules, func(r Rule) bool { return r.Prefix == prefix })
}

// jumpRule is a rule as the api writes it.
type jumpRule struct {
	Prefix        string   `json:"prefix"`
	PermitSubRule int      `json:"permit_sub_rule"` // 1 others may, 2 occupied
	Path          string   `json:"path"`
	OpenVersion   int      `json:"open_version"`
	DebugURL      []string `json:"debug_url"`
	State         int      `json:"state"` // 1 not published, 2 published
}

func (s *Server) jumpCall(now time.Time) *refusal {
	if !s.quotas.spend("jump", second(now), jumpCallsASecond) {
		return &refusal{44990, "reach max api second frequence limit"}
	}
	return nil
}

// listRules is POST /cgi-bin/wxopen/qrcodejumpget; an empty body asks for all.
func (s *Server) listRules(body []byte, now time.Time) (any, *refusal) {
	in := struct {
		GetType    int      `json:"get_type"` // 0 all, 1 by prefix, 2 by page
		PrefixList []string `json:"prefix_list"`
		PageNum    int      `json:"page_num"`
		PageSize   int      `json:"page_size"`
	}{PageNum: 1, PageSize: rulesAtMost}
	if refused := s.jumpCall(now); refused != nil {
		return nil, refused
	}
	if len(strings.TrimSpace(string(body))) > 0 {
		if refused := readAPI(body, &in); refused != nil {
			return nil, refused
		}
	}
	if in.GetType < 0 || in.GetType > 2 || in.PageNum < 1 || in.PageSize < 1 || in.PageSize > 200 {
		return nil, &refusal{85095, "invalid data"}
	}
	list := []jumpRule{}
	for _, r := range s.rules {
		if in.GetType == 1 && !slices.Contains(in.PrefixList, r.Prefix) {
			continue
		}
		item := jumpRule{Prefix: r.Prefix, PermitSubRule: 1, Path: r.Page, OpenVersion: r.OpenVersion, DebugURL: append([]string{}, r.DebugURLs...), State: 1}
		if r.OccupySubRules {
			item.PermitSubRule = 2
		}
		if r.Published {
			item.State = 2
		}
		list = append(list, item)
	}
	total := len(list)
	if in.GetType == 2 {
		from := min((in.PageNum-1)*in.PageSize, total)
		list = list[from:min(from+in.PageSize, total)]
	}
	quotaLeft := publishesPerMonth
	if s.published.window == month(now) {
		quotaLeft -= s.published.count
	}
	return struct {
		fine
		Open       int        `json:"qrcodejump_open"`
		ListSize   int        `json:"list_size"`
		TotalCount int        `json:"total_count"`
		Quota      int        `json:"qrcodejump_pub_quota"`
		Rules      []jumpRule `json:"rule_list"`
	}{ok, 1, len(list), total, quotaLeft, list}, nil
}

// writeRule is POST /cgi-bin/wxopen/qrcodejumpadd, which also edits.
func (s *Server) writeRule(body []byte, now time.Time) (any, *refusal) {
	var in struct {
		Prefix        string      `json:"prefix"`
		PermitSubRule json.Number `json:"permit_sub_rule"`
		Path          string      `json:"path"`
		OpenVersion   json.Number `json:"open_version"`
		DebugURL      []string    `json:"debug_url"`
		IsEdit        int         `json:"is_edit"`
	}
	if refused := s.jumpCall(now); refused != nil {
		return nil, refused
	}
	if refused := readAPI(body, &in); refused != nil {
		return nil, refused
	}
	permit, err1 := in.PermitSubRule.Int64()
	version, err2 := in.OpenVersion.Int64()
	if err1 != nil || err2 != nil || permit < 1 || permit > 2 || version < OpenDevelop || version > OpenRelease {
		return nil, &refusal{85095, "invalid data"}
	}
	r := Rule{Prefix: in.Prefix, Page: in.Path, OpenVersion: int(version), OccupySubRules: permit == 2, DebugURLs: in.DebugURL}
	if !s.hasPage(r.Page) {
		return nil, &refusal{41030, "invalid page"}
	}
	if in.IsEdit == 0 {
		return ok, s.addRule(r)
	}
	if refused := checkRule(r); refused != nil {
		return nil, refused
	}
	i := s.findRule(in.Prefix)
	switch {
	case i < 0:
		return nil, &refusal{85066, "invalid link"}
	case s.rules[i].Published && s.rules[i].Page != r.Page:
		return nil, &refusal{40097, "the path of a published rule can not be edited"}
	}
	r.Published = s.rules[i].Published
	s.rules[i] = r
	return ok, nil
}

// publishRule is POST /cgi-bin/wxopen/qrcodejumppublish.
func (s *Server) publishRule(body []byte, now time.Time) (any, *refusal) {
	i, refused := s.ruleOf(body, now)
	if refused != nil {
		return nil, refused
	}
	if !s.published.spend(month(now), publishesPerMonth) {
		return nil, &refusal{886000, "publish quota of this month is used up"}
	}
	s.rules[i].Published = true
	return ok, nil
}

// deleteRule is POST /cgi-bin/wxopen/qrcodejumpdelete.
func (s *Server) deleteRule(body []byte, now time.Time) (any, *refusal) {
	i, refused := s.ruleOf(body, now)
	if refused != nil {
		return nil, refused
	}
	s.rules = slices.Delete(s.rules, i, i+1)
	return ok, nil
}

func (s *Server) ruleOf(body []byte, now time.Time) (int, *refusal) {
	var in struct {
		Prefix string `json:"prefix"`
	}
	if refused := s.jumpCall(now); refused != nil {
		return 0, refused
	}
	if refused := readAPI(body, &in); refused != nil {
		return 0, refused
	}
	i := s.findRule(in.Prefix)
	if i < 0 {
		return 0, &refusal{85066, "invalid link"}
	}
	return i, nil
}
