package wechat

import (
	"context"
	"fmt"
)

// Rule is one rule by which WeChat opens the mini-program for a scanned address.
type Rule struct {
	Prefix    string `json:"prefix"` // https://q.example.cn/d/
	Page      string `json:"path"`
	State     int    `json:"state"`           // 1 a draft, 2 published
	PermitSub int    `json:"permit_sub_rule"` // 2: longer prefixes belong to this rule too
}

// Published tells whether riders can see it.
func (r Rule) Published() bool { return r.State == 2 }

// Rules lists the rules of the console; open tells whether the mini-program takes
// scans at all.
//
// Errors: ErrBusy, ErrMisconfigured, ErrUnexpected.
func (a *App) Rules(ctx context.Context) (rules []Rule, open bool, err error) {
	var out struct {
		Open  int    `json:"qrcodejump_open"`
		Rules []Rule `json:"rule_list"`
	}
	if err := a.call(ctx, "/cgi-bin/wxopen/qrcodejumpget", struct{}{}, &out); err != nil {
		return nil, false, fmt.Errorf("list the code rules: %w", apiError(err, nil))
	}
	return out.Rules, out.Open == 1, nil
}
