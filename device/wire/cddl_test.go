package wire

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCDDLAndCodeNameTheSameLabels holds unlatch.cddl against the struct tags:
// the same labels, and the same ones optional.
func TestCDDLAndCodeNameTheSameLabels(t *testing.T) {
	source, err := os.ReadFile("unlatch.cddl")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`(?ms)^([a-z-]+) = \{(.*?)^\}`)
	label := regexp.MustCompile(`(?m)^\s*(\? )?(\d+) =>`)
	got := map[string][]string{}
	for _, r := range rule.FindAllStringSubmatch(string(source), -1) {
		for _, l := range label.FindAllStringSubmatch(r[2], -1) {
			got[r[1]] = append(got[r[1]], l[1]+l[2])
		}
	}
	for name, message := range map[string]any{
		"command": commandMessage{}, "start-args": StartArgs{}, "config-args": ConfigArgs{}, "server-key": ServerKey{}, "ack-args": AckArgs{},
		"evidence": evidenceMessage{}, "counters": Counters{}, "unknown-outcome": Unknown{}, "beat": beatMessage{}, "outlet-beat": OutletBeat{},
		"telemetry": telemetryMessage{}, "position": Position{}, "meter": Meter{}, "presence": presenceMessage{},
	} {
		want := labelsOf(reflect.TypeOf(message))
		slices.Sort(want)
		slices.Sort(got[name])
		if !slices.Equal(got[name], want) {
			t.Errorf("%s: unlatch.cddl has %q, the code %q", name, got[name], want)
		}
	}
}

func labelsOf(of reflect.Type) (labels []string) {
	for i := range of.NumField() {
		field := of.Field(i)
		if field.Anonymous {
			labels = append(labels, labelsOf(field.Type)...)
			continue
		}
		number, options, _ := strings.Cut(field.Tag.Get("cbor"), ",")
		optional := ""
		if strings.Contains(options, "omit") {
			optional = "? "
		}
		labels = append(labels, fmt.Sprint(optional, number))
	}
	return labels
}

// TestCDDLAndCodeNumberTheSameWords does the same for kinds, reasons and parameters.
func TestCDDLAndCodeNumberTheSameWords(t *testing.T) {
	source, err := os.ReadFile("unlatch.cddl")
	if err != nil {
		t.Fatal(err)
	}
	group := regexp.MustCompile(`(?ms)^([a-z-]+) = &\((.*?)\)`)
	word := regexp.MustCompile(`([a-z_]+): (\d+)`)
	names := map[string]func(int) string{
		"command-kind":  func(n int) string { return CommandKind(n).String() },
		"evidence-kind": func(n int) string { return EvidenceKind(n).String() },
		"reason":        func(n int) string { return Reason(n).String() },
		"meter-state":   func(n int) string { return MeterState(n).String() },
	}
	found := map[string]int{}
	for _, g := range group.FindAllStringSubmatch(string(source), -1) {
		name := names[g[1]]
		if name == nil {
			continue
		}
		for _, w := range word.FindAllStringSubmatch(g[2], -1) {
			var n int
			if _, err := fmt.Sscan(w[2], &n); err != nil {
				t.Fatal(err)
			}
			if name(n) != w[1] {
				t.Errorf("%s %d: unlatch.cddl says %s, the code %s", g[1], n, w[1], name(n))
			}
			found[g[1]]++
		}
	}
	want := map[string]int{"command-kind": len(commandKinds) - 1, "evidence-kind": len(evidenceKinds) - 1, "reason": len(reasons), "meter-state": len(meterStates) - 1}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("unlatch.cddl numbers %v words, the code %v", found, want)
	}
}
