package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

type staffCmd struct {
	List   staffListCmd   `cmd:"" help:"Say who the members of staff are, and how they can come in."`
	Invite staffInviteCmd `cmd:"" help:"Print a one-time link by which a member sets a new password."`
}

// Help teaches what it is for.
func (staffCmd) Help() string {
	return "For who owns the machine: it works on the database and needs no key, so that an installation whose last admin lost the password can be entered again."
}

type staffListCmd struct {
	database `embed:""`
}

// Run lists all members by name.
func (s staffListCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	return s.withStore(ctx, log, func(db *store.DB) error {
		rows, err := db.StaffList(ctx)
		if err != nil {
			return err
		}
		for _, m := range rows {
			venues, means := "all venues", []string{}
			if m.Venues != nil {
				venues = strings.Join(m.Venues, ",")
			}
			if m.Password {
				means = append(means, "password")
			}
			if m.Passkeys > 0 {
				means = append(means, fmt.Sprintf("%d passkeys", m.Passkeys))
			}
			if m.Disabled != nil {
				means = []string{"disabled"}
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", m.Name, m.Role, venues, strings.Join(means, ", "))
		}
		return nil
	})
}

type staffInviteCmd struct {
	database `embed:""`
	Name     string `arg:"" help:"The member's name, as unlatch staff list shows it."`
	At       string `name:"at" default:"http://127.0.0.1:8080" env:"UNLATCH_API" help:"Where browsers reach the installation."`
}

// inviteLife is for how long the link works.
const inviteLife = 24 * time.Hour

// Run stores the link and prints it. The audit names the machine's owner, who needs no
// membership to do this.
func (s staffInviteCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	secret, hash := api.NewSecret("")
	err := s.withStore(ctx, log, func(db *store.DB) error {
		_, err := db.Invite(ctx, "", s.Name, hash, inviteLife, order.Audit{ID: newUUID(), Staff: "owner", Act: "staff.invite",
			Reason: "unlatch staff invite on the machine", At: time.Now().UTC()})
		return err
	})
	switch {
	case errors.Is(err, order.ErrNotFound):
		return fmt.Errorf("nobody is called %q; unlatch staff list shows the names", s.Name)
	case errors.Is(err, order.ErrWrongState):
		return fmt.Errorf("%s is disabled; an admin has to enable them first", s.Name)
	case err != nil:
		return err
	}
	fmt.Fprintf(out, "%s/invite?link=%s\nIt works once, until %s. It ends every login of %s.\n",
		strings.TrimSuffix(s.At, "/"), secret, time.Now().Add(inviteLife).Format("2006-01-02 15:04"), s.Name)
	return nil
}
