package fakewechat

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// Types of the trade bill.
const (
	billAll     = "ALL"
	billSuccess = "SUCCESS"
	billRefund  = "REFUND"
)

const (
	billLead   = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
	billTimes  = "退款申请时间,退款成功时间,"
	billReturn = "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,"
	billGoods  = "商品名称,商户数据包,手续费,费率,订单金额,"
	billAsked  = "申请退款金额,"
	billNote   = "费率备注"

	billFooter = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
	flowTitles = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号"
	flowFooter = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"

	// byteOrderMark is what the real files begin with.
	byteOrderMark = "\ufeff"
	lineEnd       = "\r\n"
)

// billColumns are the titles of each type.
var billColumns = map[string][]string{
	billAll:     {billLead, billReturn, billGoods, billAsked, billNote},
	billSuccess: {billLead, billGoods, billNote},
	billRefund:  {billLead, billTimes, billReturn, billGoods, billAsked, billNote},
}

// billStatus is a refund's status in the words of bills.
var billStatus = map[string]string{
	refundProcessing: "PROCESSING", refundSuccess: "SUCCESS", refundClosed: "FAIL", refundAbnormal: "FAIL",
}

// table writes lines of values, each behind a backtick.
type table struct{ bytes.Buffer }

func (t *table) titles(s string) { t.WriteString(s + lineEnd) }

func (t *table) row(values []string) {
	for i, v := range values {
		if i > 0 {
			t.WriteByte(',')
		}
		t.WriteByte('`')
		_, _ = clean.WriteString(t, v)
	}
	t.WriteString(lineEnd)
}

func writeTradeBill(kind string, rows []tradeRow) []byte {
	var out table
	out.WriteString(byteOrderMark)
	out.titles(strings.Join(billColumns[kind], ""))
	var settled, refunded, fees, total int64
	for _, r := range rows {
		out.row(r.values(kind))
		settled, refunded, fees, total = settled+r.settled, refunded+r.refunded, fees+r.fee, total+r.total
	}
	out.titles(billFooter)
	out.row([]string{
		strconv.Itoa(len(rows)), yuan(settled), yuan(refunded), yuan(0), yuan(fees), yuan(total), yuan(refunded),
	})
	return out.Bytes()
}

func billTime(t time.Time) string { return t.In(china).Format(time.DateTime) }

func (r tradeRow) values(kind string) []string {
	state := "SUCCESS"
	refundID, number, how, sum := "0", "0", "", "0.00"
	var asked, done string
	if r.r != nil {
		state, refundID, number, how, sum = "REFUND", r.r.id, r.r.number, "ORIGINAL", yuan(r.refunded)
		asked = billTime(r.r.createdAt)
		if r.status == "SUCCESS" {
			done = billTime(r.r.doneAt)
		}
	}
	v := []string{
		billTime(r.at), r.t.appID, r.t.mchID, "0", r.t.deviceID, r.t.id, r.t.number, r.t.rider.openID, r.t.kind, state, "OTHERS", "CNY",
		yuan(r.settled), "0.00",
	}
	if kind == billRefund {
		v = append(v, asked, done)
	}
	if kind != billSuccess {
		v = append(v, refundID, number, sum, "0.00", how, r.status)
	}
	v = append(v, r.t.description, r.t.attach, yuan(r.fee), "0.60%", yuan(r.total))
	if kind != billSuccess {
		v = append(v, sum)
	}
	return append(v, "")
}

func writeFlows(flows []flow, balance int64, mchID string) []byte {
	var out table
	out.WriteString(byteOrderMark)
	out.titles(flowTitles)
	var in, paid int64
	var ins, outs int
	for i, f := range flows {
		way := "收入"
		if f.out {
			way, balance, paid, outs = "支出", balance-f.fen, paid+f.fen, outs+1
		} else {
			balance, in, ins = balance+f.fen, in+f.fen, ins+1
		}
		kind := f.name
		out.row([]string{
			billTime(f.at), f.business, f.business + strconv.Itoa(i), f.name, kind, way, yuan(f.fen), yuan(balance), mchID + "API", f.note, f.voucher,
		})
	}
	out.titles(flowFooter)
	out.row([]string{strconv.Itoa(len(flows)), strconv.Itoa(ins), yuan(in), strconv.Itoa(outs), yuan(paid)})
	return out.Bytes()
}
