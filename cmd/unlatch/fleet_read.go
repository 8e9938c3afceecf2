package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// fleetColumns are what a fleet's CSV may hold; id, kind and venue must be there.
// The rest of what export writes is read over. Spreadsheets and trackers name
// positions in other ways.
var (
	fleetColumns  = []string{"id", "kind", "venue", "lat", "lng", "sides", "display", "code", "bluetooth"}
	exportColumns = []string{"epoch", "service", "firmware", "heard_at"}
	otherNames    = map[string]string{"latitude": "lat", "lon": "lng", "long": "lng", "longitude": "lng"}
)

// fleetRow is a line of the file with what became of it.
type fleetRow struct {
	line   int
	device api.NewDevice
	code   string
	known  *api.Device
	bound  bool // the code hangs on the device already
	wrong  []string
	notes  []string
	plan   []string // what would be done
	did    []string
	made   bool  // its file was written
	done   bool  // all of it
	failed error // where the import broke off
}

func (r *fleetRow) complain(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// fleetFile reads lines one by one: no value of a fleet holds a line break, and a
// quote that is not closed must not swallow the rows below it.
type fleetFile struct{ comma rune }

func (f fleetFile) split(line string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(line))
	r.Comma, r.TrimLeadingSpace = f.comma, true
	fields, err := r.Read()
	if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
		err = fmt.Errorf("column %d: %w", parse.Column, parse.Err) // the line is known better here
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, err
}

// readFleet reads the file; what is wrong with a row stands in the row.
func readFleet(text []byte) ([]*fleetRow, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // spreadsheets put it there
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("the text is not UTF-8: save it as CSV UTF-8")
	}
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text)), "\n")
	f := fleetFile{comma: ','}
	if !strings.Contains(lines[0], ",") && strings.Contains(lines[0], ";") {
		f.comma = ';'
	}
	header, err := f.split(lines[0])
	if err != nil {
		return nil, fmt.Errorf("no header: want the columns %s: %w", strings.Join(fleetColumns, ", "), err)
	}
	at, err := columns(header)
	if err != nil {
		return nil, err
	}
	var rows []*fleetRow
	seen := map[string]int{}
	for i, line := range lines[1:] {
		fields, err := f.split(line)
		if strings.Trim(strings.Join(fields, ""), " ") == "" && (err == nil || strings.TrimSpace(line) == "") {
			continue
		}
		row := &fleetRow{line: i + 2}
		field := func(name string) string {
			if i, ok := at[name]; ok && i < len(fields) {
				return fields[i]
			}
			return ""
		}
		row.device.ID = field("id")
		rows = append(rows, row)
		stray := 0
		for i, value := range fields {
			if value != "" && (i >= len(header) || header[i] == "") {
				stray++
			}
		}
		switch {
		case err != nil:
			row.complain("%v: write a quote in a quoted value twice, and close it", err)
		case stray > 0:
			row.complain("%s where the header has %d: quote a value that holds %q", plural(len(fields), "field"), named(header), string(f.comma))
		default:
			if len(fields) < named(header) && (field("id") == "" || field("kind") == "" || field("venue") == "") {
				row.complain("%s where the header has %d", plural(len(fields), "field"), named(header))
			}
			row.read(field)
		}
		if row.device.ID == "" {
			continue
		}
		if first, twice := seen[row.device.ID]; twice {
			row.complain("line %d has the same id", first)
		} else {
			seen[row.device.ID] = row.line
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("no rows below the header")
	}
	return rows, nil
}

// columns finds where each column stands. One without a name is read over: a
// spreadsheet writes those that once held something.
func columns(header []string) (map[string]int, error) {
	at := map[string]int{}
	for i, name := range header {
		name = strings.ToLower(name)
		if other, ok := otherNames[name]; ok {
			name = other
		}
		if name == "" {
			continue
		}
		if !slices.Contains(fleetColumns, name) && !slices.Contains(exportColumns, name) {
			return nil, fmt.Errorf("column %q is not known: want %s", header[i], strings.Join(fleetColumns, ", "))
		}
		if first, twice := at[name]; twice {
			return nil, fmt.Errorf("columns %d and %d are both %s", first+1, i+1, name)
		}
		at[name] = i
	}
	for _, name := range fleetColumns[:3] {
		if _, ok := at[name]; !ok {
			return nil, fmt.Errorf("column %q is missing", name)
		}
	}
	return at, nil
}

// named counts the columns that have a name.
func named(header []string) (n int) {
	for _, name := range header {
		if name != "" {
			n++
		}
	}
	return n
}

func (r *fleetRow) read(field func(string) string) {
	r.device = api.NewDevice{ID: field("id"), Kind: api.Kind(strings.ToLower(field("kind"))), Venue: field("venue")}
	r.code = field("code")
	if err := device.ID(r.device.ID).Check(); err != nil {
		r.complain("%v", err)
	}
	if kind := field("kind"); kind == "" {
		r.complain("kind is missing")
	} else if !slices.Contains(order.Kinds(), device.Kind(r.device.Kind)) {
		var names []string
		for _, k := range order.Kinds() {
			names = append(names, string(k))
		}
		r.complain("kind %q: write %s", kind, strings.Join(names, " or "))
	}
	if r.device.Venue == "" {
		r.complain("venue is missing")
	}
	r.device.Lat, r.device.Lng = r.degrees("lat", field("lat"), 90), r.degrees("lng", field("lng"), 180)
	if sides := field("sides"); sides != "" {
		var err error
		if r.device.Sides, err = parseSides(strings.Split(sides, "|")); err != nil {
			r.complain("sides: %v", err)
		}
	}
	r.device.Display, r.device.Bluetooth = r.yes("display", field("display")), r.yes("bluetooth", field("bluetooth"))
}

// yes tells whether a column says so.
func (r *fleetRow) yes(name, text string) bool {
	switch strings.ToLower(text) {
	case "yes", "true", "1":
		return true
	case "", "no", "false", "0":
	default:
		r.complain("%s is yes or no, not %q", name, text)
	}
	return false
}

// degrees is nil where there is no number, or none that can be.
func (r *fleetRow) degrees(name, text string, most float64) *float64 {
	if text == "" {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	_, point := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
	switch {
	case err != nil && point == nil:
		r.complain("%s %q: write a point, not a comma", name, text)
	case err != nil || !(v >= -most && v <= most):
		hint := ""
		if err == nil && name == "lat" && v >= -180 && v <= 180 {
			hint = "; are lat and lng swapped?"
		}
		r.complain("%s %q is no number of degrees from -%v to %v%s", name, text, most, most, hint)
	default:
		return &v
	}
	return nil
}
