package order

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/unlatch/unlatch/device"
)

var update = flag.Bool("update", false, "rewrite the diagrams in docs/order-cycle.md")

const page = "../docs/order-cycle.md"

// TestDiagram keeps the diagrams of docs/order-cycle.md equal to the tables; with
// -update it writes them there.
func TestDiagram(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for name, drawn := range map[string]string{
		"order": diagram(next, []State{Pending, Starting}, []State{Pending, Starting, Unresolved, Active, Ended, Settled, Voided}),
		"pause": diagram(pauseTable(), []PauseState{"riding"}, []PauseState{"riding", PauseAsked, PausePaused, PauseResuming}),
		"command": diagram(commands(t), []device.CommandState{device.Published}, []device.CommandState{device.Published, device.Unresolved,
			device.Executed, device.Rejected, device.NotExecuted, device.OutcomeUnknown, device.Spent}),
	} {
		begin, end := fmt.Sprintf("<!-- %s diagram: begin -->\n", name), fmt.Sprintf("<!-- %s diagram: end -->", name)
		from, to := strings.Index(text, begin), strings.Index(text, end)
		if from < 0 || to < from {
			t.Fatalf("%s lacks the markers %q and %q", page, begin, end)
		}
		from += len(begin)
		if text[from:to] == drawn {
			continue
		}
		if !*update {
			t.Errorf("the %s diagram of %s is not the table's; run: make generate\ngot:\n%swant:\n%s", name, page, text[from:to], drawn)
			continue
		}
		text = text[:from] + drawn + text[to:]
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// pauseTable is the table of pauses with a name for there being none.
func pauseTable() map[PauseState]map[Input]PauseState {
	name := func(s PauseState) PauseState { return cmp.Or(s, "riding") }
	table := map[PauseState]map[Input]PauseState{}
	for from, row := range pauseNext {
		table[name(from)] = map[Input]PauseState{}
		for in, to := range row {
			table[name(from)][in] = name(to)
		}
	}
	return table
}

// commands reads the command's table through its only door.
func commands(t *testing.T) map[device.CommandState]map[device.CommandInput]device.CommandState {
	table := map[device.CommandState]map[device.CommandInput]device.CommandState{}
	for _, from := range []device.CommandState{device.Published, device.Unresolved, device.Executed, device.Rejected,
		device.NotExecuted, device.OutcomeUnknown, device.Spent} {
		for _, in := range []device.CommandInput{device.Execute, device.Reject, device.CannotTell, device.Fence, device.Burn, device.Supersede, device.Deadline} {
			if to, err := from.Next(in); err == nil {
				if table[from] == nil {
					table[from] = map[device.CommandInput]device.CommandState{}
				}
				table[from][in] = to
			}
		}
	}
	if len(table) == 0 {
		t.Fatal("the command table has no rows")
	}
	return table
}

// diagram draws a table for Mermaid: one arrow per pair of states, its label the
// inputs that lead there. A state without a row is an end.
func diagram[S, I ~string](table map[S]map[I]S, starts, order []S) string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n")
	for _, s := range starts {
		fmt.Fprintf(&b, "    [*] --> %s\n", s)
	}
	for _, from := range order {
		labels := map[S][]string{}
		for in, to := range table[from] {
			labels[to] = append(labels[to], string(in))
		}
		for _, to := range order {
			if l := labels[to]; len(l) > 0 {
				slices.Sort(l)
				fmt.Fprintf(&b, "    %s --> %s: %s\n", from, to, strings.Join(l, ", "))
			}
		}
		if len(table[from]) == 0 {
			fmt.Fprintf(&b, "    %s --> [*]\n", from)
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// TestDiagramShowsEveryState: a state that the list above forgets would be missing
// from the page and nobody would notice.
func TestDiagramShowsEveryState(t *testing.T) {
	known := []State{Pending, Starting, Unresolved, Active, Ended, Settled, Voided}
	for from, row := range next {
		for to := range maps.Values(row) {
			if !slices.Contains(known, from) || !slices.Contains(known, to) {
				t.Errorf("the diagram knows no %s or no %s", from, to)
			}
		}
	}
}
