package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// FleetConfig makes a Fleet.
type FleetConfig struct {
	// Provisions are the devices; no id twice.
	Provisions []Provision
	// Dir holds one file of memory per device, {id}.json, made where missing.
	// Empty: memory ends with the process, and each start is a lost flash (S4).
	Dir string
	// TLS is for mqtts brokers. nil: the system's roots.
	TLS *tls.Config
	// Dials is how many devices connect at a time; 0: 64.
	Dials int
	// Log as in DeviceConfig.
	Log *slog.Logger
	// Controller as in DeviceConfig, for every device.
	Controller func(*Config)
}

// Fleet is many devices in one process.
type Fleet struct {
	devices map[string]*Device
	ids     []string
}

// NewFleet reads the memories and starts nothing.
func NewFleet(cfg FleetConfig) (*Fleet, error) {
	if cfg.Dials == 0 {
		cfg.Dials = 64
	}
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("folder for device memories: %w", err)
		}
	}
	f := &Fleet{devices: map[string]*Device{}}
	dials := make(chan struct{}, cfg.Dials)
	for _, p := range cfg.Provisions {
		if err := p.check(); err != nil {
			return nil, err
		}
		if f.devices[p.Device] != nil {
			return nil, fmt.Errorf("device %s is provisioned twice", p.Device)
		}
		dc := DeviceConfig{Provision: p, TLS: cfg.TLS, Log: cfg.Log, Controller: cfg.Controller, dials: dials}
		if cfg.Dir != "" {
			path := filepath.Join(cfg.Dir, p.Device+".json")
			memory, err := readMemory(path)
			if err != nil {
				return nil, err
			}
			dc.Memory = memory
			dc.Store = func(m *Memory) error { return writeMemory(path, m) }
		}
		d, err := NewDevice(dc)
		if err != nil {
			return nil, err
		}
		f.devices[p.Device] = d
		f.ids = append(f.ids, p.Device)
	}
	slices.Sort(f.ids)
	return f, nil
}

// IDs lists the devices, sorted.
func (f *Fleet) IDs() []string { return slices.Clone(f.ids) }

// Device finds one by its id; nil: there is none.
func (f *Fleet) Device(id string) *Device { return f.devices[id] }

// Run runs all devices until ctx ends or one cannot store its memory; then all
// stop. It returns nil where only ctx ended.
func (f *Fleet) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(f.ids))
	var running sync.WaitGroup
	for i, id := range f.ids {
		running.Go(func() {
			if err := f.devices[id].Run(ctx); err != nil {
				errs[i] = fmt.Errorf("simulated device %s: %w", id, err)
				cancel()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// readMemory returns nil where there is no file yet.
func readMemory(path string) (*Memory, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read device memory: %w", err)
	}
	defer file.Close()
	m, err := LoadMemory(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// writeMemory replaces the file as a whole: after a crash it is the old or the new one.
func writeMemory(path string, m *Memory) error {
	temp := path + ".new"
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write device memory: %w", err)
	}
	err = m.Save(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write device memory: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write device memory: %w", err)
	}
	return nil
}
