package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/unlatch/unlatch/billing/wechat"
)

type doctorCmd struct {
	All    doctorAllCmd    `cmd:"" default:"withargs" help:"Check everything; this is what doctor does by itself."`
	WeChat doctorWeChatCmd `cmd:"" name:"wechat" help:"Check the accounts at WeChat: keys, permissions, code rule, verification file, clock, notifications."`
}

type doctorWeChatCmd struct {
	weChatFlags `embed:""`

	Domain string `env:"UNLATCH_DOMAIN" help:"Host name in printed codes, such as q.example.cn."`
	Page   string `name:"page" help:"The mini-program's page behind the codes, to hold the rule against; empty: not checked."`
	JSON   bool   `name:"json" help:"Findings as JSON."`
}

// Help teaches how it is used.
func (doctorWeChatCmd) Help() string {
	return `Takes the flags and the environment of serve, asks WeChat's own servers and looks at the installation from outside. It
moves no money and changes nothing. Exit code 1 when something is wrong; each finding says what to do.`
}

// Run examines and prints.
func (d doctorWeChatCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := d.examination()
	if err != nil {
		return err
	}
	return d.report(out, wechat.Examine(ctx, c))
}

// examination is what the flags say, right or wrong.
func (d doctorWeChatCmd) examination() (wechat.ExamineConfig, error) {
	c := wechat.ExamineConfig{Domain: d.Domain, AppID: d.AppID, Secret: d.Secret, Page: d.Page, Pay: !d.unset(), MchID: d.MchID,
		MerchantSerial: d.MchSerial, PublicKeyID: d.PublicKeyID, APIv3Key: d.APIv3Key, ServiceID: d.ServiceID, NotifyURL: d.notifyURL(d.Domain)}
	if d.Domain == "" {
		return c, errors.New("give --domain, the host name that printed codes carry")
	}
	for _, f := range []struct {
		path string
		into *[]byte
	}{{d.MchKey, &c.MerchantKey}, {d.PublicKey, &c.PublicKey}} {
		if f.path == "" {
			continue
		}
		var err error
		if *f.into, err = os.ReadFile(f.path); err != nil {
			return c, err
		}
	}
	if len(d.Verification) > 0 {
		content, err := os.ReadFile(d.Verification[0])
		if err != nil {
			return c, fmt.Errorf("--wechat-verification: %w", err)
		}
		c.VerifyFile, c.VerifyContent = filepath.Base(d.Verification[0]), string(content)
	}
	return c, nil
}

func (d doctorWeChatCmd) report(out io.Writer, findings []wechat.Finding) error {
	note := ""
	if d.unset() {
		note = "       WeChat Pay was not checked: no --wechat-mch-id."
	}
	return printFindings(out, findings, d.JSON, note)
}

// printFindings prints findings, and a note behind them unless they are JSON. errFound: one of
// them is wrong.
func printFindings(out io.Writer, findings []finding, asJSON bool, note string) error {
	wrong := 0
	for _, f := range findings {
		if !f.OK {
			wrong++
		}
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(findings); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			mark := "ok   "
			if !f.OK {
				mark = "WRONG"
			}
			if f.Detail == "" {
				f.Detail = "well formed"
			}
			fmt.Fprintf(out, "%s  %s: %s\n", mark, f.What, f.Detail)
			if f.Fix != "" {
				fmt.Fprintf(out, "       %s\n", f.Fix)
			}
		}
		if note != "" {
			fmt.Fprintln(out, note)
		}
	}
	if wrong > 0 {
		return errFound
	}
	return nil
}
