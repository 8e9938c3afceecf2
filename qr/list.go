package qr

import (
	"encoding/csv"
	"io"
	"iter"
	"strings"
)

// listHeader names the columns of List; they are stable, and more may follow.
var listHeader = []string{"label", "number", "printed", "url", "venue", "caption", "device", "outlet", "batch"}

// List writes labels as CSV for a print shop that sets its own artwork: UTF-8 with a
// byte order mark and CRLF, one row per label. number has more digits than a
// spreadsheet's number holds exactly: import it as text. It returns how many it
// wrote.
func List(w io.Writer, labels iter.Seq2[Label, error]) (n int, err error) {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return 0, err
	}
	c := csv.NewWriter(w)
	c.UseCRLF = true
	_ = c.Write(listHeader) // into a buffer
	for l, err := range labels {
		if err != nil {
			return n, err
		}
		if l, err = l.captioned(); err != nil {
			return n, err
		}
		if err := c.Write([]string{number(l.Index), string(l.Number), Format(l.Number), l.URL, plain(l.Venue), plain(l.Caption), l.Device, number(l.Outlet), l.Batch}); err != nil {
			return n, err
		}
		n++
	}
	c.Flush()
	return n, c.Error()
}

// plain keeps a spreadsheet from running a text as a formula.
func plain(text string) string {
	if strings.IndexAny(text, "=+-@\t\r\n＝＋－＠") == 0 {
		return "'" + text
	}
	return text
}
