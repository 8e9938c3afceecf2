package order_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/unlatch/unlatch/order"
)

func TestPlainLeavesOutWhatOnlyProgramsRead(t *testing.T) {
	wrong := fmt.Errorf("a ring has no area: %w", order.ErrInvalid)
	for err, want := range map[error]string{
		wrong:                            "a ring has no area",
		fmt.Errorf("venue x: %w", wrong): "venue x: a ring has no area",
		errors.Join(wrong, wrong):        "a ring has no area\na ring has no area",
		order.ErrInvalid:                 order.ErrInvalid.Error(),
		order.ErrOffline:                 order.ErrOffline.Error(),
	} {
		if got := order.Plain(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
