package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/device"
)

// devices lists a fleet; venue "" is all of them.
func (c client) devices(ctx context.Context, venue string) ([]api.Device, error) {
	var all []api.Device
	for cursor := ""; ; {
		q := url.Values{"limit": {"100"}}
		if venue != "" {
			q.Set("venue", venue)
		}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		var page api.DevicePage
		if err := c.do(ctx, http.MethodGet, "/v1/operator/devices?"+q.Encode(), "", nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Devices...)
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
}

type exportCmd struct {
	staffAPI `embed:""`
	Venue    string `help:"Only devices of this venue."`
}

// Help teaches what it is for.
func (exportCmd) Help() string {
	return "Writes CSV that 'devices import' reads, with what is known besides. It holds no secrets: a lost provisioning file is made anew, as a new epoch."
}

// Run writes one row per device, by id.
func (e exportCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	all, err := c.devices(ctx, e.Venue)
	if err != nil {
		return err
	}
	w := csv.NewWriter(out)
	_ = w.Write(append(slices.Clone(fleetColumns), exportColumns...)) // Flush tells
	for _, d := range all {
		degrees := func(v *float64) string {
			if v == nil {
				return ""
			}
			return strconv.FormatFloat(*v, 'f', -1, 64)
		}
		var sides []string
		for _, o := range d.Outlets {
			var nozzles []string
			for _, n := range o.Nozzles {
				nozzles = append(nozzles, fmt.Sprintf("%d=%s", n.N, n.Grade))
			}
			if len(nozzles) > 0 {
				sides = append(sides, strings.Join(nozzles, ","))
			}
		}
		yes := func(v bool) string {
			if v {
				return "yes"
			}
			return "no"
		}
		heard := ""
		if d.HeardAt != nil {
			heard = d.HeardAt.UTC().Format("2006-01-02T15:04:05Z")
		}
		_ = w.Write([]string{d.ID, string(d.Kind), d.Venue, degrees(d.Lat), degrees(d.Lng), strings.Join(sides, "|"), yes(d.Display), "", yes(d.Bluetooth),
			strconv.FormatInt(d.Epoch, 10), d.Service, d.Firmware, heard})
	}
	w.Flush()
	return w.Error()
}

type transferCmd struct {
	staffAPI `embed:""`
	IDs      []string `arg:"" name:"id" help:"Devices without a live order."`
	Venue    string   `required:"" help:"Where they stand from now on."`
	Reason   string   `required:"" help:"Why; it is kept in the audit."`
}

// Run moves each device, with its codes and keys.
func (x transferCmd) Run(ctx context.Context, out io.Writer) error {
	return x.each(ctx, out, x.IDs, "transfer", map[string]any{"venue": x.Venue, "reason": x.Reason}, "is at "+x.Venue)
}

type retireCmd struct {
	staffAPI `embed:""`
	IDs      []string `arg:"" name:"id" help:"Devices without a live order."`
	Reason   string   `required:"" help:"Why; it is kept in the audit."`
}

// Help teaches that there is no way back.
func (retireCmd) Help() string {
	return "For good: its login ends, its word is no longer heard, and its id is never used again."
}

// Run retires each device.
func (x retireCmd) Run(ctx context.Context, out io.Writer) error {
	return x.each(ctx, out, x.IDs, "service", map[string]any{"service": "retired", "reason": x.Reason}, "is retired")
}

// each posts the same to several devices and says what became of each.
func (s staffAPI) each(ctx context.Context, out io.Writer, ids []string, what string, body any, done string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	failed := 0
	for _, id := range ids {
		if err := device.ID(id).Check(); err != nil {
			return err
		}
		if err := c.do(ctx, http.MethodPost, "/v1/operator/devices/"+id+"/"+what, "", body, nil); err != nil {
			failed++
			fmt.Fprintf(out, "%s: %v\n", id, err)
			continue
		}
		fmt.Fprintf(out, "%s %s\n", id, done)
	}
	if failed > 0 {
		return errFound
	}
	return nil
}
