package fakewechat

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// billHour is when the bill of a day is there, on the next day.
	billHour = 10
	// billTokenLife is how long a download address is good.
	billTokenLife = 5 * time.Minute
	downloadURL   = "https://api.mch.weixin.qq.com/v3/billdownload/file?token="
	// feeRate is WeChat Pay's share in hundredths of a percent.
	feeRate = 60
)

type billFile struct {
	content []byte // as it is downloaded, compressed if asked for
	expires time.Time
}

// billDay is the time between two midnights in China.
type billDay struct{ from, to time.Time }

func (d billDay) has(t time.Time) bool { return !t.Before(d.from) && t.Before(d.to) }

// made is when the bill was written; later news are in later bills.
func (d billDay) made() time.Time { return d.to.Add(billHour * time.Hour) }

var (
	noStatement       = &problem{status: http.StatusBadRequest, code: "NO_STATEMENT_EXIST", message: "账单文件不存在"}
	statementCreating = &problem{status: http.StatusBadRequest, code: "STATEMENT_CREATING", message: "账单生成中"}
)

// readBillDay is what both bills share of their query.
func readBillDay(c *payCall) (day billDay, zip bool, p *problem) {
	from, err := time.ParseInLocation(time.DateOnly, c.query.Get("bill_date"), china)
	if err != nil {
		return day, false, badQuery("bill_date", "is YYYY-MM-DD")
	}
	day = billDay{from, from.AddDate(0, 0, 1)}
	tar := c.query.Get("tar_type")
	switch {
	case tar != "" && tar != "GZIP":
		return day, false, badQuery("tar_type", "is GZIP or absent")
	case c.query.Has("sub_mchid"):
		return day, false, badQuery("sub_mchid", "is for service providers")
	case c.now.Before(day.to):
		return day, false, noStatement
	case c.now.Before(day.made()):
		return day, false, statementCreating
	case from.Before(c.now.AddDate(0, -3, -1)):
		return day, false, noStatement
	}
	return day, tar == "GZIP", nil
}

// tradeBill is GET /v3/bill/tradebill.
func (s *Server) tradeBill(c *payCall) (any, *problem) {
	day, zip, p := readBillDay(c)
	if p != nil {
		return nil, p
	}
	kind := cmp.Or(c.query.Get("bill_type"), billAll)
	if billColumns[kind] == nil {
		return nil, badQuery("bill_type", "is ALL, SUCCESS or REFUND")
	}
	rows := s.tradeRows(day, kind)
	if len(rows) == 0 {
		return nil, noStatement
	}
	if len(rows) > 0 && s.strikes(FaultBillDrop, GroupBill, "") {
		rows = rows[1:]
	}
	if len(rows) > 0 && s.strikes(FaultBillAmount, GroupBill, "") {
		rows[0].settled++
		rows[0].total++
	}
	return s.offerBill(writeTradeBill(kind, rows), zip, c.now)
}

// fundFlowBill is GET /v3/bill/fundflowbill.
func (s *Server) fundFlowBill(c *payCall) (any, *problem) {
	day, zip, p := readBillDay(c)
	if p != nil {
		return nil, p
	}
	switch cmp.Or(c.query.Get("account_type"), "BASIC") {
	case "BASIC":
	case "OPERATION", "FEES":
		return nil, noStatement // nothing ever moves there
	default:
		return nil, badQuery("account_type", "is BASIC, OPERATION or FEES")
	}
	flows, balance := s.flows(day)
	if len(flows) == 0 {
		return nil, noStatement
	}
	return s.offerBill(writeFlows(flows, balance, s.pay.MchID), zip, c.now)
}

// offerBill keeps a file and tells where it is. The hash is of the plain text.
func (s *Server) offerBill(plain []byte, zip bool, now time.Time) (any, *problem) {
	b, err := s.draw(24)
	if err != nil {
		return nil, systemError
	}
	token := letters(b)
	sum := sha1.Sum(plain)
	if zip {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := w.Write(plain); err != nil || w.Close() != nil {
			return nil, systemError
		}
		plain = out.Bytes()
	}
	for old, file := range s.pay.bills {
		if now.After(file.expires) {
			delete(s.pay.bills, old)
		}
	}
	s.pay.bills[token] = &billFile{plain, now.Add(billTokenLife)}
	return struct {
		HashType    string `json:"hash_type"`
		HashValue   string `json:"hash_value"`
		DownloadURL string `json:"download_url"`
	}{"SHA1", hex.EncodeToString(sum[:]), downloadURL + url.QueryEscape(token)}, nil
}

// downloadBill is GET /v3/billdownload/file.
func (s *Server) downloadBill(c *payCall) (any, *problem) {
	file := s.pay.bills[c.query.Get("token")]
	if file == nil || c.now.After(file.expires) {
		return nil, notFound("RESOURCE_NOT_EXISTS", "下载链接不存在或已过期", 0)
	}
	return rawFile(file.content), nil
}

// tradeRow is a line of the trade bill, in fen.
type tradeRow struct {
	at     time.Time
	t      *transaction
	r      *refund // nil for a payment
	status string  // of the refund when the bill was made

	settled, total, refunded, fee int64
}

// tradeRows are the payments and the accepted refunds of a day, by time.
func (s *Server) tradeRows(day billDay, kind string) (rows []tradeRow) {
	if kind != billRefund {
		for _, t := range s.pay.ledger {
			if day.has(t.paidAt) {
				rows = append(rows, tradeRow{at: t.paidAt, t: t, settled: t.fen, total: t.fen, fee: fee(t.fen)})
			}
		}
	}
	if kind != billSuccess {
		for _, r := range s.pay.refundList {
			if day.has(r.createdAt) {
				rows = append(rows, tradeRow{
					at: r.createdAt, t: r.transaction, r: r, status: billStatus[r.statusAt(day.made())], refunded: r.fen, fee: -fee(r.fen),
				})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b tradeRow) int { return a.at.Compare(b.at) })
	return rows
}

// fee is rounded to the nearest fen.
func fee(fen int64) int64 { return (fen*feeRate + 5000) / 10000 }

// flow is a line of the fund flow bill.
type flow struct {
	at       time.Time
	business string // transaction_id or refund_id
	name     string
	out      bool
	fen      int64
	note     string
	voucher  string
}

// flows are the movements of a day and the balance before them.
func (s *Server) flows(day billDay) (of []flow, before int64) {
	var all []flow
	for _, t := range s.pay.ledger {
		all = append(all, flow{at: t.paidAt, business: t.id, name: "交易", fen: t.fen, note: "结算总金额" + yuan(t.fen) + "元", voucher: t.number})
		if cost := fee(t.fen); cost > 0 {
			all = append(all, flow{at: t.paidAt, business: t.id, name: "扣除交易手续费", out: true, fen: cost, note: "手续费" + yuan(cost) + "元", voucher: t.number})
		}
	}
	for _, r := range s.pay.refundList {
		if r.status == refundSuccess {
			back := fee(r.fen)
			all = append(all, flow{at: r.doneAt, business: r.id, name: "退款", out: true, fen: r.fen - back,
				note: fmt.Sprintf("退款总金额%s元;含手续费%s元", yuan(r.fen), yuan(back)), voucher: r.number})
		}
	}
	slices.SortStableFunc(all, func(a, b flow) int { return a.at.Compare(b.at) })
	for _, f := range all {
		switch {
		case f.at.Before(day.from) && f.out:
			before -= f.fen
		case f.at.Before(day.from):
			before += f.fen
		case day.has(f.at):
			of = append(of, f)
		}
	}
	return of, before
}

// yuan writes fen with two decimals.
func yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

// clean keeps a value from breaking its line.
var clean = strings.NewReplacer(",", " ", "\r", " ", "\n", " ", "`", " ")
