package fakewechat

import (
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// fetchBill returns the plain text, after a check of its hash.
func (f *shop) fetchBill(target string) string {
	f.t.Helper()
	offer := f.must(200, f.call("GET", target, nil))
	at := strings.TrimPrefix(offer.text("download_url"), "https://api.mch.weixin.qq.com")
	file := f.must(200, f.call("GET", at, nil))
	if file.header.Get("Wechatpay-Signature") != "" {
		f.t.Error("the file is signed")
	}
	plain := file.raw
	if strings.Contains(target, "GZIP") {
		r, err := gzip.NewReader(bytes.NewReader(plain))
		if err != nil {
			f.t.Fatal(err)
		}
		if plain, err = io.ReadAll(r); err != nil {
			f.t.Fatal(err)
		}
	}
	sum := sha1.Sum(plain)
	if offer.text("hash_type") != "SHA1" || offer.text("hash_value") != hex.EncodeToString(sum[:]) {
		f.t.Errorf("hash: got %s", offer.raw)
	}
	return string(plain)
}

func billLines(text string) []string {
	return strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, byteOrderMark), lineEnd), lineEnd)
}

func (f *shop) businessDay() (transaction, debit string) {
	f.t.Helper()
	transaction = f.paid("ride0001", "ann", 1000)
	f.step(time.Minute)
	f.must(200, f.refund(transaction, "back1", 250, 1000))
	f.run(time.Minute)
	f.confirmed("score1", "bo")
	f.step(time.Minute)
	f.must(200, f.complete("score1", 300))
	f.run(time.Minute)
	for _, m := range f.s.Money().Transactions {
		if m.OutOrderNo == "score1" {
			debit = m.TransactionID
		}
	}
	return transaction, debit
}

func TestTradeBill(t *testing.T) {
	f := newShop(t)
	id, debit := f.businessDay()
	number := f.s.pay.transactions[debit].number
	f.step(24 * time.Hour)
	r := f.s.pay.refunds["back1"]
	head := "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额," +
		"微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
	want := []string{
		head,
		"`2026-11-02 12:00:00,`wx1,`1900000001,`0,`bike7,`" + id + ",`ride0001,`" + f.openid("ann") + ",`JSAPI,`SUCCESS,`OTHERS,`CNY,`10.00,`0.00,`0,`0,`0.00,`0.00,`,`,`a ride,`a,`0.06,`0.60%,`10.00,`0.00,`",
		"`2026-11-02 12:01:00,`wx1,`1900000001,`0,`bike7,`" + id + ",`ride0001,`" + f.openid("ann") + ",`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`" + r.id + ",`back1,`2.50,`0.00,`ORIGINAL,`SUCCESS,`a ride,`a,`-0.02,`0.60%,`0.00,`2.50,`",
		"`2026-11-02 12:03:01,`wx1,`1900000001,`0,`bike7,`" + debit + ",`" + number + ",`" + f.openid("bo") + ",`AUTH,`SUCCESS,`OTHERS,`CNY,`3.00,`0.00,`0,`0,`0.00,`0.00,`,`,`骑行,`wxzff|service order|score1,`0.02,`0.60%,`3.00,`0.00,`",
		"总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额",
		"`3,`13.00,`2.50,`0.00,`0.06,`13.00,`2.50",
	}
	plain := f.fetchBill("/v3/bill/tradebill?bill_date=2026-11-02")
	if got := billLines(plain); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if zipped := f.fetchBill("/v3/bill/tradebill?bill_date=2026-11-02&bill_type=ALL&tar_type=GZIP"); zipped != plain {
		t.Error("the compressed bill differs")
	}
	paid := billLines(f.fetchBill("/v3/bill/tradebill?bill_date=2026-11-02&bill_type=SUCCESS"))
	back := billLines(f.fetchBill("/v3/bill/tradebill?bill_date=2026-11-02&bill_type=REFUND"))
	if len(paid) != 5 || strings.Contains(paid[0], "退款") || paid[4] != "`2,`13.00,`0.00,`0.00,`0.08,`13.00,`0.00" {
		t.Errorf("payments: got %s", strings.Join(paid, "\n"))
	}
	if len(back) != 4 || !strings.Contains(back[1], "`2026-11-02 12:01:00,`2026-11-02 12:01:02,`"+r.id) || back[3] != "`1,`0.00,`2.50,`0.00,`-0.02,`0.00,`2.50" {
		t.Errorf("refunds: got %s", strings.Join(back, "\n"))
	}
	for _, bill := range [][]string{want, paid, back} {
		for _, line := range bill[1 : len(bill)-2] {
			if a, b := strings.Count(line, ","), strings.Count(bill[0], ","); a != b {
				t.Errorf("%d columns and %d titles: %s", a+1, b+1, line)
			}
		}
	}
}

func TestFundFlowBill(t *testing.T) {
	f := newShop(t)
	f.businessDay()
	f.step(24 * time.Hour)
	f.paid("ride0002", "ann", 100)
	f.step(24 * time.Hour)
	first := billLines(f.fetchBill("/v3/bill/fundflowbill?bill_date=2026-11-02&account_type=BASIC&tar_type=GZIP"))
	// 10.00 and 3.00 come; 0.06 and 0.02 of fees and 2.50 less 0.02 of fee go.
	if len(first) != 8 || first[0] != flowTitles || first[7] != "`5,`2,`13.00,`3,`2.56" || !strings.Contains(first[5], "`10.44,") {
		t.Errorf("got\n%s", strings.Join(first, "\n"))
	}
	second := billLines(f.fetchBill("/v3/bill/fundflowbill?bill_date=2026-11-03"))
	if len(second) != 5 || !strings.Contains(second[1], "`收入,`1.00,`11.44,") || second[4] != "`2,`1,`1.00,`1,`0.01" {
		t.Errorf("got\n%s", strings.Join(second, "\n"))
	}
	for target, want := range map[string]string{"&account_type=FEES": "NO_STATEMENT_EXIST", "&account_type=MINE": "PARAM_ERROR"} {
		if r := f.call("GET", "/v3/bill/fundflowbill?bill_date=2026-11-02"+target, nil); r.status != 400 || r.code() != want {
			t.Errorf("%s: got %s", target, r.raw)
		}
	}
}

func TestBillComesAtTen(t *testing.T) {
	f := newShop(t)
	f.paid("ride0001", "ann", 100)
	ask := func(query string) string {
		r := f.call("GET", "/v3/bill/tradebill?"+query, nil)
		if r.status != 200 && r.status != 400 {
			t.Errorf("%s: got %d", query, r.status)
		}
		return r.code()
	}
	today := "bill_date=2026-11-02"
	same(t, "on the day", ask(today), "NO_STATEMENT_EXIST")
	same(t, "today's flow", f.call("GET", "/v3/bill/fundflowbill?"+today, nil).code(), "NO_STATEMENT_EXIST")
	f.step(12 * time.Hour)
	same(t, "at midnight in China", ask(today), "STATEMENT_CREATING")
	f.step(10*time.Hour - time.Second)
	same(t, "before ten", ask(today), "STATEMENT_CREATING")
	f.step(time.Second)
	same(t, "at ten", ask(today), "")
	same(t, "empty day", ask("bill_date=2026-11-01"), "NO_STATEMENT_EXIST")
	for _, bad := range []string{"", "bill_date=20261102", "bill_date=2026-13-02", today + "&tar_type=ZIP", today + "&bill_type=MINE", today + "&sub_mchid=1"} {
		same(t, bad, ask(bad), "PARAM_ERROR")
	}
	offer := f.must(200, f.call("GET", "/v3/bill/tradebill?"+today, nil))
	at := strings.TrimPrefix(offer.text("download_url"), "https://api.mch.weixin.qq.com")
	unsigned := f.request("GET", at, nil)
	unsigned.Header.Del("Authorization")
	if r := f.send(unsigned); r.status != 401 {
		t.Errorf("unsigned download: got %d", r.status)
	}
	f.step(5 * time.Minute)
	f.must(200, f.call("GET", at, nil))
	f.step(time.Second)
	f.must(404, f.call("GET", at, nil))
	f.must(404, f.call("GET", "/v3/billdownload/file?token=x", nil))
	f.step(93 * 24 * time.Hour)
	same(t, "after three months", ask(today), "NO_STATEMENT_EXIST")
}

func TestBillShowsRefundsAsTheyWereAtTen(t *testing.T) {
	f := newShop(t, func(c *Config) { c.Pay.RefundTime = 30 * time.Hour })
	id := f.paid("ride0001", "ann", 100)
	f.must(200, f.refund(id, "back1", 1, 100))
	f.fault(FaultRefundAbnormal, 1)
	f.must(200, f.refund(id, "back2", 1, 100))
	f.run(48 * time.Hour)
	bill := f.fetchBill("/v3/bill/tradebill?bill_date=2026-11-02")
	if strings.Count(bill, "`PROCESSING,") != 2 {
		t.Errorf("got %s", bill)
	}
}

func TestBentBills(t *testing.T) {
	f := newShop(t)
	f.paid("ride0001", "ann", 100)
	f.paid("ride0002", "ann", 100)
	f.step(24 * time.Hour)
	target := "/v3/bill/tradebill?bill_date=2026-11-02"
	f.fault(FaultBillDrop, 1)
	if lines := billLines(f.fetchBill(target)); len(lines) != 4 || strings.Contains(lines[1], "ride0001") || !strings.HasPrefix(lines[3], "`1,`1.00") {
		t.Errorf("dropped: got %s", strings.Join(lines, "\n"))
	}
	f.fault(FaultBillAmount, 1)
	if lines := billLines(f.fetchBill(target)); len(lines) != 5 || !strings.Contains(lines[1], "`1.01,") || !strings.HasPrefix(lines[4], "`2,`2.01") {
		t.Errorf("altered: got %s", strings.Join(lines, "\n"))
	}
	if lines := billLines(f.fetchBill(target)); len(lines) != 5 || !strings.HasPrefix(lines[4], "`2,`2.00") {
		t.Errorf("afterwards: got %s", strings.Join(lines, "\n"))
	}
}

func TestYuan(t *testing.T) {
	for fen, want := range map[int64]string{0: "0.00", 1: "0.01", 100: "1.00", -2: "-0.02", -150: "-1.50", 123456: "1234.56"} {
		if got := yuan(fen); got != want {
			t.Errorf("%d fen: got %s, want %s", fen, got, want)
		}
	}
}
