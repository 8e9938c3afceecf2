package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

type codesCmd struct {
	Mint    mintCmd    `cmd:"" help:"Mint codes, for devices or to be bound later, and draw their symbols or labels."`
	Print   printCmd   `cmd:"" help:"Print labels of codes that are there: a batch again, or some codes."`
	Batches batchesCmd `cmd:"" help:"List the batches and what became of their codes."`
	Bind    bindCmd    `cmd:"" help:"Hang a printed code on a device."`
	Swap    swapCmd    `cmd:"" help:"Swap the codes of two devices."`
	Sheets  sheetsCmd  `cmd:"" help:"List the templates of label sheets."`
	Ruler   rulerCmd   `cmd:"" help:"Write a page with rulers and the labels' outlines, to find the printer's offset."`
}

type mintCmd struct {
	staffAPI   `embed:""`
	labelFlags `embed:""`
	Devices    []string `arg:"" optional:"" name:"device" help:"Device ids: one code each."`
	Outlet     uint8    `default:"1" help:"The outlet that the codes of devices name."`
	Kiosk      bool     `help:"The codes will hang at the kiosk, not at the device."`
	Count      int      `help:"Mint so many codes that are bound to devices later, in the field; at most 100000."`
	Venue      string   `help:"With --count: the venue whose devices they are for."`
	Caption    string   `help:"Text under the venue's name; {device}, {outlet}, {label} and {venue} stand for the label's own."`
	Key        string   `placeholder:"TEXT" help:"With --count: the same key never mints a second batch. Drawn unless given."`
}

// Help teaches the two ways.
func (mintCmd) Help() string {
	return `With device ids: one code for each, written as one symbol per device (svg, png) or, with --sheet, as labels.
With --count: a batch that is printed first and bound in the field (unlatch codes bind, or the staff's app). Labels are written
as PDF or, for a label printer, ZPL; in parts of --part labels, all or none of them. Every symbol is read back before.
If it breaks off, nothing is lost: unlatch codes print --batch ID writes the rest.`
}

// Run mints and writes.
func (m mintCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := m.client()
	if err != nil {
		return err
	}
	switch {
	case m.Count < 0 || m.Count > order.MostBatch:
		return fmt.Errorf("--count: give 1 to %d", order.MostBatch)
	case m.Count > 0 && len(m.Devices) > 0:
		return errors.New("give device ids or --count, not both: codes of a batch are bound later")
	case m.Count > 0 && m.Venue == "":
		return errors.New("--count needs --venue: a batch belongs to a venue")
	case m.Count > 0:
		return m.batch(ctx, c, out)
	case len(m.Devices) == 0:
		return errors.New("give device ids, or --count and --venue")
	case m.Sheet == "" && m.format() != "pdf" && m.format() != "zpl" && m.format() != "csv":
		return m.symbols(ctx, c, out)
	}
	return m.devices(ctx, c, out)
}

// symbols writes one symbol per device, named after the device.
func (m mintCmd) symbols(ctx context.Context, c client, out io.Writer) error {
	if err := os.MkdirAll(m.Out, 0o755); err != nil {
		return err
	}
	for _, id := range m.Devices {
		code, err := m.mint(ctx, c, id)
		if err != nil {
			return err
		}
		symbol, err := c.bytes(ctx, "/v1/operator/codes/"+code.Number+"/symbol."+m.format())
		if err != nil {
			return err
		}
		path := filepath.Join(m.Out, id+"."+m.format())
		if err := os.WriteFile(path, symbol, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s  %s  %s\n", id, code.URL, path)
	}
	return nil
}

func (m mintCmd) mint(ctx context.Context, c client, id string) (api.Code, error) {
	var code api.Code
	err := c.do(ctx, http.MethodPost, "/v1/operator/codes", "", map[string]any{"device": id, "outlet": m.Outlet, "kiosk": m.Kiosk}, &code)
	return code, err
}

// devices writes labels of the named devices. What they say is checked before the
// first code is minted.
func (m mintCmd) devices(ctx context.Context, c client, out io.Writer) error {
	p, err := m.printer()
	if err != nil {
		return err
	}
	names, err := venueNames(ctx, c)
	if err != nil {
		return err
	}
	for _, id := range m.Devices {
		var d struct{ Venue string }
		if err := c.do(ctx, http.MethodGet, "/v1/operator/devices/"+url.PathEscape(id), "", nil, &d); err != nil {
			return err
		}
		if p == nil { // a list: nothing is drawn
			continue
		}
		if err := p.Check(trial(qr.Label{Venue: names[d.Venue], Caption: m.Caption, Device: id, Outlet: int(m.Outlet)})); err != nil {
			return err
		}
	}
	var codes []api.Code
	for _, id := range m.Devices {
		code, err := m.mint(ctx, c, id)
		if err != nil {
			return broken(err, codes)
		}
		codes = append(codes, code)
	}
	return broken(m.write(ctx, out, p, "stickers", len(codes), labelsOf(codes, names, m.Caption)), codes)
}

// broken says how to print codes that were minted when something went wrong.
func broken(err error, codes []api.Code) error {
	if err == nil || len(codes) == 0 {
		return err
	}
	var devices []string
	for _, c := range codes {
		devices = append(devices, c.Device)
	}
	return fmt.Errorf("%w; %d codes are minted, print them with: unlatch codes print %s", err, len(codes), strings.Join(devices, " "))
}

// batch mints --count codes and writes their labels.
func (m mintCmd) batch(ctx context.Context, c client, out io.Writer) error {
	p, err := m.printer()
	if err != nil {
		return err
	}
	names, err := venueNames(ctx, c)
	if err != nil {
		return err
	}
	name, known := names[m.Venue]
	if !known {
		return fmt.Errorf("--venue: there is no venue %q", m.Venue)
	}
	if p != nil {
		if err := p.Check(trial(qr.Label{Venue: name, Caption: m.Caption, Index: m.Count})); err != nil {
			return err
		}
	}
	if m.Key == "" {
		m.Key, _ = api.NewSecret("mint-")
	}
	var b api.CodeBatch
	err = c.do(ctx, http.MethodPost, "/v1/operator/codes/batches", m.Key,
		api.BatchBody{Venue: m.Venue, Count: m.Count, Caption: m.Caption, Kiosk: m.Kiosk, Reason: "minted from the command line"}, &b)
	if err != nil {
		return fmt.Errorf("%w; if it is not certain whether they were minted, run it again with --key %s", err, m.Key)
	}
	fmt.Fprintf(out, "batch %s: %d codes for %s\n", b.ID, b.Count, b.Venue)
	if err := m.write(ctx, out, p, batchName(b), b.Count, batchLabels(ctx, c, b, m.Caption)); err != nil {
		return fmt.Errorf("%w; the codes are minted, finish with: unlatch codes print --batch %s", err, b.ID)
	}
	return nil
}

// trial is a label with the widest address that fits a printed code's usual symbol.
func trial(l qr.Label) qr.Label {
	l.Number = "00000000000000"
	l.URL = qr.URL("q.example.cn", l.Number)
	return l
}

type printCmd struct {
	staffAPI   `embed:""`
	labelFlags `embed:""`
	Codes      []string `arg:"" optional:"" name:"code" help:"Numbers as printed, addresses as scanned, or ids of devices, whose newest code is printed."`
	Batch      string   `help:"Print all codes of a batch that are not revoked."`
	Caption    string   `help:"Another text than the batch's under the venue's name; {device}, {outlet}, {label} and {venue} stand for the label's own."`
}

// Run prints a batch or the named codes.
func (p printCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := p.client()
	if err != nil {
		return err
	}
	if (p.Batch == "") == (len(p.Codes) == 0) {
		return errors.New("give --batch ID, or codes to print")
	}
	printer, err := p.printer()
	if err != nil {
		return err
	}
	if p.Batch != "" {
		var b api.CodeBatch
		if err := c.do(ctx, http.MethodGet, "/v1/operator/codes/batches/"+url.PathEscape(p.Batch), "", nil, &b); err != nil {
			return err
		}
		return p.write(ctx, out, printer, batchName(b), b.Count, batchLabels(ctx, c, b, p.Caption))
	}
	names, err := venueNames(ctx, c)
	if err != nil {
		return err
	}
	var codes []api.Code
	captions := map[string]string{}
	for _, text := range p.Codes {
		code, err := codeNamed(ctx, c, text)
		if err != nil {
			return err
		}
		if code.Revoked {
			return fmt.Errorf("code %s is revoked and must not hang anywhere again", code.Printed)
		}
		if _, read := captions[code.Batch]; !read && code.Batch != "" {
			var b api.CodeBatch
			if err := c.do(ctx, http.MethodGet, "/v1/operator/codes/batches/"+code.Batch, "", nil, &b); err != nil {
				return err
			}
			captions[code.Batch] = b.Caption
		}
		codes = append(codes, code)
	}
	labels := labelsOf(codes, names, p.Caption)
	name := "stickers"
	if len(codes) == 1 { // the next one must not replace it
		name = "sticker-" + codes[0].Printed
	}
	return p.write(ctx, out, printer, name, len(codes), func(yield func(qr.Label, error) bool) {
		for l := range labels {
			if p.Caption == "" {
				l.Caption = captions[l.Batch]
			}
			if !yield(l, nil) {
				return
			}
		}
	})
}

var typedNumber = regexp.MustCompile(`^[0-9]{4}-?[0-9]{4}-?[0-9]{4}-?[0-9]{2}$`)

// codeNamed finds a code by its number or address, or the newest one of a device.
func codeNamed(ctx context.Context, c client, text string) (api.Code, error) {
	if number, ok := numberIn(text); ok {
		var code api.Code
		return code, c.do(ctx, http.MethodGet, "/v1/operator/codes/"+number, "", nil, &code)
	}
	var list api.CodeList
	if err := c.do(ctx, http.MethodGet, "/v1/operator/codes?device="+url.QueryEscape(text), "", nil, &list); err != nil {
		return api.Code{}, err
	}
	for _, code := range list.Codes {
		if !code.Revoked {
			return code, nil
		}
	}
	return api.Code{}, fmt.Errorf("device %s has no code in use", text)
}

// numberIn is the number in what was typed or scanned; false for a device's id.
func numberIn(text string) (string, bool) {
	if i := strings.LastIndexByte(text, '/'); i >= 0 {
		text = text[i+1:]
		if number, _, ok := strings.Cut(text, "-"); ok && len(number) == qr.Digits { // a screen's password behind it
			text = number
		}
	}
	if !typedNumber.MatchString(text) {
		return "", false
	}
	return strings.ReplaceAll(text, "-", ""), true
}

// batchName begins the names of a batch's files.
func batchName(b api.CodeBatch) string { return b.Venue + "-" + b.ID[max(0, len(b.ID)-12):] }

// batchLabels reads a batch's codes page by page, without those that are revoked.
func batchLabels(ctx context.Context, c client, b api.CodeBatch, caption string) iter.Seq2[qr.Label, error] {
	if caption == "" {
		caption = b.Caption
	}
	return func(yield func(qr.Label, error) bool) {
		for cursor := ""; ; {
			var page api.BatchCodes
			path := "/v1/operator/codes/batches/" + b.ID + "/codes?limit=1000"
			if cursor != "" {
				path += "&cursor=" + url.QueryEscape(cursor)
			}
			if err := c.do(ctx, http.MethodGet, path, "", nil, &page); err != nil {
				yield(qr.Label{}, err)
				return
			}
			for l := range labelsOf(page.Codes, map[string]string{b.Venue: b.VenueName}, caption) {
				if !yield(l, nil) {
					return
				}
			}
			if cursor = page.NextCursor; cursor == "" {
				return
			}
		}
	}
}

// labelsOf are the labels of codes that are not revoked.
func labelsOf(codes []api.Code, venues map[string]string, caption string) iter.Seq2[qr.Label, error] {
	return func(yield func(qr.Label, error) bool) {
		for _, c := range codes {
			if c.Revoked {
				continue
			}
			if !yield(qr.Label{Number: qr.Number(c.Number), URL: c.URL, Venue: venues[c.Venue], Caption: caption, Device: c.Device,
				Outlet: c.Outlet, Batch: c.Batch, Index: c.Label}, nil) {
				return
			}
		}
	}
}

// venueNames are the venues' names by id.
func venueNames(ctx context.Context, c client) (map[string]string, error) {
	var list struct {
		Venues []struct{ ID, Name string }
	}
	if err := c.do(ctx, http.MethodGet, "/v1/operator/venues", "", nil, &list); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, v := range list.Venues {
		names[v.ID] = v.Name
	}
	return names, nil
}

type batchesCmd struct {
	staffAPI `embed:""`
	Venue    string `help:"Only those of a venue."`
}

// Run lists batches, newest first.
func (b batchesCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := b.client()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BATCH\tVENUE\tLABELS\tBOUND\tUNBOUND\tREVOKED\tMINTED")
	for cursor := ""; ; {
		query := url.Values{"limit": {"100"}}
		if b.Venue != "" {
			query.Set("venue", b.Venue)
		}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var page api.CodeBatchPage
		if err := c.do(ctx, http.MethodGet, "/v1/operator/codes/batches?"+query.Encode(), "", nil, &page); err != nil {
			return err
		}
		for _, x := range page.Batches {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", x.ID, x.Venue, x.Count, x.Bound, x.Unbound, x.Revoked, x.At.Format("2006-01-02 15:04"))
		}
		if cursor = page.NextCursor; cursor == "" {
			return w.Flush()
		}
	}
}

type bindCmd struct {
	staffAPI `embed:""`
	Number   string `arg:"" help:"The code: its number or its address."`
	Device   string `arg:"" help:"The device's id, or another code of it as printed or scanned."`
	Outlet   uint8  `help:"The outlet; unless given that of the device's other code, else 1."`
	Move     bool   `help:"Take the code off the outlet that it hangs on."`
	Reason   string `help:"Kept in the audit."`
}

// Run binds and says where the code hangs now.
func (b bindCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := b.client()
	if err != nil {
		return err
	}
	number, ok := numberIn(b.Number)
	if !ok {
		return fmt.Errorf("%q is no code; give the fourteen digits or the address", b.Number)
	}
	body := api.BindBody{Device: b.Device, Outlet: int(b.Outlet), Move: b.Move, Reason: b.Reason}
	if _, ok := numberIn(b.Device); ok {
		body.Device, body.DeviceCode = "", b.Device
	}
	var code api.Code
	if err := c.do(ctx, http.MethodPost, "/v1/operator/codes/"+number+"/bind", "", body, &code); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s hangs on %s, outlet %d\n", code.Printed, code.Device, code.Outlet)
	return nil
}

type swapCmd struct {
	staffAPI `embed:""`
	A        string `arg:"" help:"One code: its number or its address."`
	B        string `arg:"" help:"The other."`
	Reason   string `help:"Kept in the audit."`
}

// Run swaps and says where the codes hang now.
func (s swapCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var list api.CodeList
	if err := c.do(ctx, http.MethodPost, "/v1/operator/codes/swap", "", api.SwapBody(struct{ A, B, Reason string }{s.A, s.B, s.Reason}), &list); err != nil {
		return err
	}
	for _, code := range list.Codes {
		fmt.Fprintf(out, "%s hangs on %s, outlet %d\n", code.Printed, code.Device, code.Outlet)
	}
	return nil
}

type sheetsCmd struct{}

// Run lists the templates.
func (sheetsCmd) Run(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range qr.Sheets() {
		fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Note)
	}
	return w.Flush()
}

type rulerCmd struct {
	Sheet   string  `required:"" placeholder:"TEMPLATE" help:"The template; unlatch codes sheets lists them."`
	OffsetX float64 `name:"offset-x" placeholder:"MM" help:"Move everything right by so many millimetres."`
	OffsetY float64 `name:"offset-y" placeholder:"MM" help:"Move everything down by so many millimetres."`
	Out     string  `default:"." type:"path" help:"Folder for the file."`
}

// Run writes ruler-{sheet}.pdf.
func (r rulerCmd) Run(ctx context.Context, out io.Writer) error {
	p, err := labelFlags{Sheet: r.Sheet, OffsetX: r.OffsetX, OffsetY: r.OffsetY}.printer()
	if err != nil {
		return err
	}
	return delivered(r.Out, out, func(dir string) error {
		return toFile(filepath.Join(dir, "ruler-"+r.Sheet+".pdf"), p.Ruler)
	})
}
