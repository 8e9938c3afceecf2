package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	sim "github.com/unlatch/unlatch/firmware-sim"
)

type simCmd struct {
	Files  []string `arg:"" type:"existingfile" help:"Provisioning files, as 'unlatch devices provision' writes them."`
	Memory string   `type:"path" placeholder:"DIR" help:"Keep each device's flash and body there between runs."`
	Listen string   `default:"127.0.0.1:0" help:"Address for stage directions."`
}

// Help teaches what a stage direction is.
func (simCmd) Help() string {
	return `Each device obeys docs/protocol.md. Stage directions are HTTP: POST /devices/{id}/close pushes a lock shut, POST
/devices/{id}/nozzle lifts and hangs up a pump's nozzle, GET /devices/{id} tells what the body really did, POST
/devices/{id}/bluetooth {"frames": ["hex", ...]} is a phone that writes frames (P10) and gets what the lock notified since. Without --memory each start is a device
whose flash was lost, which the server takes out of service.`
}

// Run plays the devices until it is told to stop.
func (s simCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	var all []sim.Provision
	for _, path := range s.Files {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		p, err := sim.ReadProvision(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		all = append(all, p)
	}
	fleet, err := sim.NewFleet(sim.FleetConfig{Provisions: all, Dir: s.Memory, Log: log})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	address, err := listen(ctx, group, s.Listen, fleet.Handler())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d devices take stage directions at %s/devices\n", len(all), address)
	group.Go(func() error { return fleet.Run(ctx) })
	return group.Wait()
}
