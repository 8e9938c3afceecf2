package wechat

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// The titles that a bill needs. Others come and go; where a title had another word
// before, the older one follows.
var (
	colTime       = []string{"交易时间"}
	colApp        = []string{"公众账号ID"}
	colID         = []string{"微信订单号"}
	colNumber     = []string{"商户订单号"}
	colKind       = []string{"交易类型"}
	colState      = []string{"交易状态"}
	colAmount     = []string{"订单金额", "总金额"}
	colRefundID   = []string{"微信退款单号"}
	colRefund     = []string{"商户退款单号"}
	colBack       = []string{"申请退款金额", "退款金额"}
	colBackState  = []string{"退款状态"}
	colAttached   = []string{"商户数据包"}
	colFee        = []string{"手续费"}
	footLines     = []string{"总交易单数"}
	footAmount    = []string{"订单总金额", "总交易额"}
	footBack      = []string{"申请退款总金额", "退款总金额", "总退款金额"}
	footFee       = []string{"手续费总金额"}
	billColumns   = [][]string{colTime, colApp, colID, colNumber, colKind, colState, colAmount, colRefundID, colRefund, colBack, colBackState, colAttached, colFee}
	footerColumns = [][]string{footLines, footAmount, footBack, footFee}
)

const (
	// maxBillRow is far above a row of 30 fields of which none has more than 256 bytes.
	maxBillRow = 64 << 10
	// maxBillFen keeps a day's sums within an int64.
	maxBillFen = 1 << 53
)

// billFile is a bill while it is read.
type billFile struct {
	app    string         // whose lines are wanted; "" = all
	at     map[string]int // columns by the first title of each list
	width  int
	lines  []billing.BillLine
	rows   int64
	amount billing.Fen
	back   billing.Fen
	fee    billing.Fen
}

// parseBill reads a plain bill: a row of titles, rows whose fields each begin with a
// backtick, a row of titles of totals, and the totals. Its errors are ErrBill, with
// the line, and those of in. Lines of other apps of the merchant count in the totals
// and are left out.
func parseBill(in io.Reader, app string) ([]billing.BillLine, error) {
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 0, 4096), maxBillRow)
	b := &billFile{app: app}
	var totals map[string]int
	var totalsWidth int
	done := false
	for n := 1; scan.Scan(); n++ {
		row := strings.TrimSuffix(scan.Text(), "\r")
		if n == 1 {
			row = strings.TrimPrefix(row, "\ufeff")
		}
		var err error
		switch {
		case strings.TrimSpace(row) == "":
			continue
		case done:
			err = errors.New("there is something after the totals")
		case b.at == nil:
			b.at, b.width, err = titles(row, billColumns)
		case totals != nil:
			done = true
			err = b.compare(totals, totalsWidth, row)
		case !strings.HasPrefix(row, "`"):
			totals, totalsWidth, err = titles(row, footerColumns)
		default:
			err = b.add(row)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrBill, n, err)
		}
	}
	switch err := scan.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%w: a line is longer than %d KB", ErrBill, maxBillRow>>10)
	case err != nil:
		return nil, fmt.Errorf("%w: it breaks off", ErrBill)
	case !done:
		return nil, fmt.Errorf("%w: it ends before its totals", ErrBill)
	}
	return b.lines, nil
}

// titles finds the wanted columns by name.
func titles(row string, wanted [][]string) (map[string]int, int, error) {
	have := strings.Split(strings.TrimPrefix(row, "`"), ",")
	for i := range have {
		have[i] = strings.Trim(have[i], "` ")
	}
	at := map[string]int{}
	for _, names := range wanted {
		for _, name := range names {
			if i := slices.Index(have, name); i >= 0 {
				at[names[0]] = i
				break
			}
		}
		if _, found := at[names[0]]; !found {
			return nil, 0, fmt.Errorf("there is no column %s", names[0])
		}
	}
	return at, len(have), nil
}

// fields splits a row. A comma within a field stays, since only the next field's
// backtick makes it a separator.
func fields(row string, width int) ([]string, error) {
	if !strings.HasPrefix(row, "`") {
		return nil, errors.New("a field does not begin with a backtick")
	}
	got := strings.Split(row[1:], ",`")
	if len(got) != width {
		return nil, fmt.Errorf("it has %d fields, want %d", len(got), width)
	}
	return got, nil
}

// add reads one row. Rows that moved nothing count in the totals and are no line.
func (b *billFile) add(row string) error {
	got, err := fields(row, b.width)
	if err != nil {
		return err
	}
	field := func(column []string) string { return strings.TrimSpace(got[b.at[column[0]]]) }
	var money [3]billing.Fen
	for i, column := range [][]string{colAmount, colBack, colFee} {
		if money[i], err = parseYuan(field(column)); err != nil {
			return fmt.Errorf("column %s: %w", column[0], err)
		}
	}
	amount, back, fee := money[0], money[1], money[2]
	if amount < 0 || back < 0 {
		return errors.New("an amount is below zero")
	}
	b.rows, b.amount, b.back, b.fee = b.rows+1, b.amount+amount, b.back+back, b.fee+fee
	if b.amount > maxBillFen || b.back > maxBillFen || b.fee > maxBillFen || b.fee < -maxBillFen {
		return errors.New("the sum passes every possible amount")
	}
	at, err := time.ParseInLocation(time.DateTime, field(colTime), china)
	if err != nil {
		return fmt.Errorf("column %s is no time", colTime[0])
	}
	line := billing.BillLine{Road: billing.Transaction, Number: field(colNumber), ID: field(colID),
		Amount: amount, Fee: fee, At: at.UTC(), State: field(colState)}
	switch number := scoreNumber(field(colAttached)); {
	case line.State == "REFUND" || line.State == "REVOKED":
		line.Road, line.Number, line.ID = billing.Refund, field(colRefund), field(colRefundID)
		line.Amount, line.State = back, field(colBackState)
	case number != "":
		line.Road, line.Number = billing.Score, number
	case field(colKind) == "AUTH":
		line.Road = billing.Score // of another system; its number is WeChat's
	}
	if line.Amount == 0 || b.app != "" && field(colApp) != b.app {
		return nil
	}
	if line.Number == "" || line.ID == "" {
		return errors.New("money moved without a number or an id")
	}
	b.lines = append(b.lines, own(line))
	return nil
}

// own frees the line from the row that its texts are parts of, which would otherwise
// stay in memory whole.
func own(l billing.BillLine) billing.BillLine {
	l.Number, l.ID, l.State = strings.Clone(l.Number), strings.Clone(l.ID), strings.Clone(l.State)
	return l
}

// compare checks the totals of the footer against the rows.
func (b *billFile) compare(at map[string]int, width int, row string) error {
	got, err := fields(row, width)
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(got[at[footLines[0]]]); text != fmt.Sprint(b.rows) {
		return fmt.Errorf("column %s is not the number of lines, %d", footLines[0], b.rows)
	}
	for _, total := range []struct {
		column []string
		sum    billing.Fen
	}{{footAmount, b.amount}, {footBack, b.back}, {footFee, b.fee}} {
		fen, err := parseYuan(strings.TrimSpace(got[at[total.column[0]]]))
		if err != nil {
			return fmt.Errorf("column %s: %w", total.column[0], err)
		}
		if fen != total.sum {
			return fmt.Errorf("column %s is %s and the lines add up to %s", total.column[0], fen, total.sum)
		}
	}
	return nil
}

// parseYuan reads yuan with up to five decimals, as 0.60, 12 or -0.01000. What is
// finer than a Fen must be zeros. Empty is 0, as in the refund columns of a payment.
func parseYuan(text string) (billing.Fen, error) {
	if text == "" {
		return 0, nil
	}
	digits, negative := strings.CutPrefix(text, "-")
	whole, part, dotted := strings.Cut(digits, ".")
	if whole == "" || len(whole) > 13 || dotted && part == "" || len(part) > 5 {
		return 0, errors.New("it is no amount in yuan")
	}
	part += "00000"[:5-len(part)]
	var fen billing.Fen
	for i, r := range whole + part {
		if r < '0' || r > '9' {
			return 0, errors.New("it is no amount in yuan")
		}
		if i >= len(whole)+2 {
			if r != '0' {
				return 0, errors.New("it is finer than a Fen")
			}
			continue
		}
		fen = fen*10 + billing.Fen(r-'0')
	}
	if negative {
		fen = -fen
	}
	return fen, nil
}
