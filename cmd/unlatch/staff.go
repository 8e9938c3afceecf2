package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/device"
)

// staffAPI is how the tools of staff reach a running installation.
type staffAPI struct {
	API    string `name:"api" default:"http://127.0.0.1:8080" env:"UNLATCH_API" help:"Where the installation serves."`
	APIKey string `name:"api-key" env:"UNLATCH_API_KEY" help:"A key of a member of staff."`
}

func (s staffAPI) client() (client, error) {
	if s.APIKey == "" {
		return client{}, errors.New("give --api-key or UNLATCH_API_KEY; the first-run link makes the first one")
	}
	return client{base: s.API, token: s.APIKey}, nil
}

type devicesCmd struct {
	Provision provisionCmd `cmd:"" help:"Make devices known, or give known ones a new epoch, and write their provisioning files."`
	Import    importCmd    `cmd:"" help:"Bring a fleet in from CSV: provision what is new, report row by row."`
	Export    exportCmd    `cmd:"" help:"Print the fleet as CSV."`
	Transfer  transferCmd  `cmd:"" help:"Move devices to another venue."`
	Retire    retireCmd    `cmd:"" help:"Take devices out of use for good."`
}

type provisionCmd struct {
	staffAPI `embed:""`
	IDs      []string `arg:"" name:"id" help:"Device ids: 1 to 24 letters, digits, '_' or '-'."`
	Venue    string   `required:"" help:"The venue where they stand."`
	Kind     string   `default:"lock" enum:"${kinds}" help:"What they are: ${enum}."`
	Side     []string `sep:"none" placeholder:"1=92,2=95" help:"A pump's side: its nozzles and their grades. Give it once per side."`
	Display  bool     `help:"They have a screen that shows rotating codes."`

	Bluetooth bool   `help:"They are locks that speak to riders' phones too, where there is no coverage."`
	Out       string `default:"." type:"path" help:"Folder for the files, one per device: {id}.json."`
}

// Help teaches what the file holds.
func (provisionCmd) Help() string {
	return "A file holds the device's private key, which is nowhere else, its MQTT password, the broker's address and the server's keys. It is written once: provisioning again makes a new epoch and the old file worthless."
}

// Run writes one file per device and never over another.
func (p provisionCmd) Run(ctx context.Context, out io.Writer) error {
	c, err := p.client()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.Out, 0o700); err != nil {
		return err
	}
	sides, err := parseSides(p.Side)
	if err != nil {
		return err
	}
	bar := progress(len(p.IDs), "provisioning")
	for _, id := range p.IDs {
		if err := device.ID(id).Check(); err != nil {
			return err
		}
		err := writeOnce(filepath.Join(p.Out, id+".json"), func() (any, error) {
			var answer api.ProvisionResults
			err := c.do(ctx, http.MethodPost, "/v1/operator/devices", "", api.ProvisionBody{Reason: "provisioned from the command line",
				Devices: []api.NewDevice{{ID: id, Kind: api.Kind(p.Kind), Venue: p.Venue, Sides: sides, Display: p.Display, Bluetooth: p.Bluetooth}}}, &answer)
			if err != nil || len(answer.Devices) != 1 {
				return nil, err
			}
			return answer.Devices[0].File, nil
		})
		if err != nil {
			return fmt.Errorf("provision %s: %w", id, err)
		}
		_ = bar.Add(1)
	}
	fmt.Fprintf(out, "%d provisioning files are in %s\n", len(p.IDs), p.Out)
	return nil
}

// parseSides reads "1=92,2=95": nozzle 1 has grade 92, nozzle 2 grade 95.
func parseSides(texts []string) ([]api.Side, error) {
	var sides []api.Side
	for _, text := range texts {
		var side api.Side
		for part := range strings.SplitSeq(text, ",") {
			number, grade, ok := strings.Cut(strings.TrimSpace(part), "=")
			n, err := strconv.Atoi(number)
			if !ok || err != nil || n < 1 || n > 255 || grade == "" {
				return nil, fmt.Errorf("--side %q: write nozzle=grade, such as 1=92,2=95", text)
			}
			if slices.ContainsFunc(side.Nozzles, func(x api.SideNozzle) bool { return x.N == n }) {
				return nil, fmt.Errorf("--side %q names nozzle %d twice", text, n)
			}
			side.Nozzles = append(side.Nozzles, api.SideNozzle{N: n, Grade: grade})
		}
		sides = append(sides, side)
	}
	return sides, nil
}

// bytes fetches what is not JSON.
func (c client) bytes(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: status %d", path, answer.StatusCode)
	}
	return io.ReadAll(io.LimitReader(answer.Body, 4<<20))
}
