// Command unlatch is the whole product in one binary: the service for riders and
// devices, its demo with simulated hardware, and the tools of the people who run
// it. It owns the wiring and nothing else: flags and environment are read here,
// adapters meet here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	_ "time/tzdata" // venues have time zones, and small machines have none

	"github.com/alecthomas/kong"

	"github.com/unlatch/unlatch/order"
)

// version is set when a release is built.
var version = "development"

type cli struct {
	Demo      demoCmd            `cmd:"" help:"Try it: a campus of simulated bikes and a petrol station, a WeChat double and everything else in one process."`
	Serve     serveCmd           `cmd:"" help:"Run an installation."`
	Devices   devicesCmd         `cmd:"" help:"Make devices known and write their provisioning files."`
	Codes     codesCmd           `cmd:"" help:"Mint codes and draw their symbols."`
	Keys      keysCmd            `cmd:"" help:"Rotate the keys that sign commands and encrypt riders' identities."`
	Staff     staffCmd           `cmd:"" help:"Let a member of staff in again who lost the password."`
	Sim       simCmd             `cmd:"" help:"Run simulated locks and pumps from provisioning files against any broker."`
	Migrate   migrateCmd         `cmd:"" help:"Bring the database's schema to this version."`
	Backup    backupCmd          `cmd:"" help:"Write the database and the keys into one file, beside a running installation."`
	Restore   restoreCmd         `cmd:"" help:"Make an installation out of a backup."`
	Upgrade   upgradeDatabaseCmd `cmd:"" name:"upgrade-database" help:"Bring the private cluster to a newer major version of Postgres."`
	Audit     auditCmd           `cmd:"" help:"Check the promises about money and movement on a live database, read-only."`
	Doctor    doctorCmd          `cmd:"" help:"Say what is wrong with an installation, and how to mend it."`
	Prove     proveCmd           `cmd:"" help:"Run schedules of bad luck through the real decision code and the simulated firmware."`
	Bench     benchCmd           `cmd:"" help:"Measure floors and product in one run and print their ratios."`
	Crowd     crowdCmd           `cmd:"" hidden:"" help:"Run a large installation to measure the console against."`
	Crowds    crowdDevicesCmd    `cmd:"" hidden:"" name:"crowd-devices" help:"The simulated devices of crowd."`
	OpenAPI   openapiCmd         `cmd:"" name:"openapi" help:"Print the HTTP API's OpenAPI 3.1 document."`
	Version   kong.VersionFlag   `env:"-" help:"Print the version and leave."`
	LogFormat string             `name:"log-format" default:"text" enum:"text,json" env:"UNLATCH_LOG_FORMAT" help:"Form of log lines: ${enum}."`
	Log       string             `default:"warn" enum:"debug,info,warn,error" env:"UNLATCH_LOG" help:"Least level of log lines: ${enum}."`
}

// kindNames lists the kinds of devices for flags.
func kindNames() string {
	var names []string
	for _, k := range order.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ",")
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// errFound says that a check ended well and found something: exit 1, no text.
var errFound = errors.New("findings")

// run is main without the process: it returns the exit code. 0: done. 1: it
// failed, or a check found something. 2: the command line is wrong. 130: it was
// told to stop before it was done.
func run(args []string, stdout, stderr io.Writer) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("unlatch"),
		kong.Description("A rider scans the code on a shared bike or a petrol pump in WeChat; unlatch decides, commands the hardware over MQTT, proves from its signed evidence what happened, and bills exactly that."),
		kong.UsageOnError(), kong.Writers(stdout, stderr), kong.Vars{"version": version, "kinds": kindNames()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.DefaultEnvars("UNLATCH"))
	if err != nil {
		fmt.Fprintln(stderr, "unlatch:", err)
		return 2
	}
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "unlatch: %v\n", err)
		return 2
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log)) // one of the enum
	log := newLogger(stderr, level, c.LogFormat)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.Bind(log)
	k.BindTo(stdout, (*io.Writer)(nil))
	switch err := k.Run(); {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 1
	case ctx.Err() != nil: // whatever it was doing, it was told to stop
		fmt.Fprintln(stderr, "unlatch: interrupted")
		return 130
	default:
		fmt.Fprintf(stderr, "unlatch: %s\n", order.Plain(err))
		return 1
	}
}
