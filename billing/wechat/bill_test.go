package wechat

import (
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
)

const (
	billHead = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
	billFoot = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
	rowPaid  = "`2026-11-01 10:00:00,`wxcanaryapp,`1900000109,`0,`bike,`4200001,`0199c2aa55e17d7b8c3f5a0b1c2d3e4f,`oCANARY,`JSAPI,`SUCCESS,`OTHERS,`CNY,`1.50,`0.00,`0,`0,`0.00,`0.00,`,`,`骑行, 校园,`lock,`0.01000,`0.60%,`1.50,`0.00,`"
	rowScore = "`2026-11-01 10:01:00,`wxcanaryapp,`1900000109,`0,`,`4200002,`2026110110010000001,`oCANARY,`AUTH,`SUCCESS,`OTHERS,`CNY,`20.00,`0.00,`0,`0,`0.00,`0.00,`,`,`骑行,``wxzff|共享单车|0199c2aa55e17d7b8c3f5a0b1c2d3e50,`0.12000,`0.60%,`20.00,`0.00,`"
	rowBack  = "`2026-11-01 10:02:00,`wxcanaryapp,`1900000109,`0,`,`4200001,`0199c2aa55e17d7b8c3f5a0b1c2d3e4f,`oCANARY,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`5030001,`0199c2aa55e17d7b8c3f5a0b1c2d3e51,`0.40,`0.00,`ORIGINAL,`PROCESSING,`骑行,`lock,`-0.01000,`0.60%,`0.00,`0.50,`"
	rowTotal = "`3,`21.50,`0.40,`0.00,`0.12000,`21.50,`0.50"
)

func goodBill() string {
	return strings.Join([]string{"\ufeff" + billHead, rowPaid, rowScore, rowBack, billFoot, rowTotal, ""}, "\r\n")
}

func TestBillsAreReadByTheirTitles(t *testing.T) {
	at := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	want := []billing.BillLine{
		{Road: billing.Transaction, Number: testNumber, ID: "4200001", Amount: 150, Fee: 1, At: at, State: "SUCCESS"},
		{Road: billing.Score, Number: "0199c2aa55e17d7b8c3f5a0b1c2d3e50", ID: "4200002", Amount: 2000, Fee: 12, At: at.Add(time.Minute), State: "SUCCESS"},
		{Road: billing.Refund, Number: "0199c2aa55e17d7b8c3f5a0b1c2d3e51", ID: "5030001", Amount: 50, Fee: -1, At: at.Add(2 * time.Minute), State: "PROCESSING"},
	}
	// The first column last, and a new one between.
	turned := func(row string) string {
		separator := ","
		if strings.HasPrefix(row, "`") {
			separator = ",`"
			row = row[1:]
		}
		cells := strings.Split(row, separator)
		cells = append(append([]string{"new"}, cells[1:]...), cells[0])
		return strings.TrimPrefix(separator, ",") + strings.Join(cells, separator)
	}
	other := strings.Join([]string{turned(billHead), turned(rowPaid), turned(rowScore), turned(rowBack), turned(billFoot), turned(rowTotal)}, "\n")
	for name, file := range map[string]string{"as it comes": goodBill(), "turned": other} {
		got, err := parseBill(strings.NewReader(file), "")
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: got %v, %v", name, got, err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: line %d: got %+v, want %+v", name, i, got[i], want[i])
			}
		}
	}
}

func TestBillsThatDoNotAddUpAreRefused(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, want string }{
		"count":       {"`3,`21.50", "`4,`21.50", "line 6: column 总交易单数 is not the number of lines, 3"},
		"amount":      {"0.12000,`21.50", "0.12000,`21.51", "column 订单总金额 is 21.51 and the lines add up to 21.50"},
		"refund":      {"21.50,`0.50", "21.50,`0.51", "column 申请退款总金额 is 0.51"},
		"fee":         {"0.00,`0.12000,`21.50", "0.00,`0.13000,`21.50", "column 手续费总金额 is 0.13"},
		"line":        {"`1.50,`0.00,`\r", "`1.51,`0.00,`\r", "the lines add up to 21.51"},
		"dropped":     {rowScore + "\r\n", "", "not the number of lines, 2"},
		"field":       {"`OTHERS,`CNY,`20.00", "`CNY,`20.00", "line 3: it has 26 fields, want 27"},
		"column":      {"商户数据包", "数据包", "line 1: there is no column 商户数据包"},
		"foot column": {"手续费总金额", "手续费", "line 5: there is no column 手续费总金额"},
		"time":        {"2026-11-01 10:00:00", "2026-11-01", "line 2: column 交易时间 is no time"},
		"words":       {"`1.50,`0.00,`\r", "`1.5O,`0.00,`\r", "line 2: column 订单金额: it is no amount in yuan"},
		"fine":        {"0.01000,`0.60%,`1.50", "0.01001,`0.60%,`1.50", "line 2: column 手续费: it is finer than a Fen"},
		"negative":    {"`1.50,`0.00,`\r", "`-1.50,`0.00,`\r", "line 2: an amount is below zero"},
		"no number":   {"`" + testNumber + ",`oCANARY,`JSAPI,`SUCCESS", "`,`oCANARY,`JSAPI,`SUCCESS", "line 2: money moved without a number"},
		"no end":      {rowTotal, "", "it ends before its totals"},
		"no foot":     {billFoot + "\r\n" + rowTotal, "", "it ends before its totals"},
		"after":       {rowTotal, rowTotal + "\r\n" + rowPaid, "line 7: there is something after the totals"},
		"empty":       {goodBill(), "", "it ends before its totals"},
		"long":        {"骑行, 校园", strings.Repeat("长", maxBillRow), "a line is longer than 64 KB"},
	} {
		file := strings.Replace(goodBill(), tc.from, tc.to, 1)
		if file == goodBill() {
			t.Fatalf("%s: nothing was replaced", name)
		}
		got, err := parseBill(strings.NewReader(file), "")
		if !errors.Is(err, ErrBill) || !strings.Contains(err.Error(), tc.want) || got != nil {
			t.Errorf("%s: got %d lines, %v, want ErrBill and %q", name, len(got), err, tc.want)
		}
		noCanaries(t, err)
	}
}

func TestYuanAreExact(t *testing.T) {
	for text, want := range map[string]billing.Fen{"": 0, "0": 0, "1": 100, "1.5": 150, "0.01": 1, "-0.01000": -1, "12.30000": 1230,
		"9007199254740.99": 900719925474099, "0.07": 7, "1.10": 110, "4.35": 435, "1.15": 115} {
		if got, err := parseYuan(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{".5", "1.", "-", "1e2", "1,000", " 1", "0.001", "0.00100", "1.000000", "12345678901234", "１", "+1", "--1", "1.2.3"} {
		if got, err := parseYuan(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestScoreNumbersAreFoundBesideTheDebit(t *testing.T) {
	for text, want := range map[string]string{
		"wxzff|共享单车|" + testNumber: testNumber, "`wxzff|x|" + testNumber: testNumber, "wxzff|x|" + testNumber + " ": testNumber,
		"": "", "lock": "", "wxzff|x": "", "wxzff|x|": "", "other|x|" + testNumber: "", "wxzff|x|y|" + testNumber: "", "wxzff|x|../" + testNumber: "",
	} {
		if got := scoreNumber(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func packed(plain string) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, plain)
	_ = w.Close()
	return out.Bytes()
}

func TestBillFilesMustBeWholeAndSigned(t *testing.T) {
	sum := sha1.Sum([]byte(goodBill()))
	file := packed(goodBill())
	if got, err := readBill(t.Context(), bytes.NewReader(file), "", sum, maxBill); err != nil || len(got) != 3 {
		t.Errorf("packed: got %d lines, %v", len(got), err)
	}
	if got, err := readBill(t.Context(), strings.NewReader(goodBill()), "", sum, maxBill); err != nil || len(got) != 3 {
		t.Errorf("plain: got %d lines, %v", len(got), err)
	}
	network := errors.New("CANARYBODY")
	for name, tc := range map[string]struct {
		in   io.Reader
		most int64
		want error
		text string
	}{
		"other bytes": {bytes.NewReader(packed(strings.Replace(goodBill(), "OTHERS", "others", 1))), maxBill, ErrBill, "SHA1"},
		"other sums":  {bytes.NewReader(packed(strings.Replace(goodBill(), "`3,`", "`4,`", 1))), maxBill, ErrBill, "SHA1"},
		"cut":         {bytes.NewReader(file[:len(file)/2]), maxBill, ErrBill, ""},
		"too long":    {bytes.NewReader(file), 100, ErrBill, "longer than 0 MB"},
		"empty":       {bytes.NewReader(nil), maxBill, ErrBill, "SHA1"},
		"network":     {io.MultiReader(bytes.NewReader(file[:len(file)/2]), failing{network}), maxBill, billing.ErrUnsure, ""},
		"at once":     {failing{network}, maxBill, billing.ErrUnsure, ""},
	} {
		got, err := readBill(t.Context(), tc.in, "", sum, tc.most)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || got != nil {
			t.Errorf("%s: got %d lines, %v, want %v", name, len(got), err, tc.want)
		}
		noCanaries(t, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestMonthOfLinesFitsInMemory reads 200,000 lines as they are written: the file is
// never whole.
func TestMonthOfLinesFitsInMemory(t *testing.T) {
	const rows = 200_000
	write := func(w io.Writer) {
		_, _ = io.WriteString(w, billHead+"\n")
		for i := range rows {
			row := strings.Replace(rowPaid, testNumber, fmt.Sprintf("0199c2aa55e17d7b8c3f5a0b1c%06x", i), 1)
			_, _ = io.WriteString(w, row+"\n")
		}
		_, _ = fmt.Fprintf(w, "%s\n`%d,`0,`0,`0,`%d.00,`%d.00,`0.00\n", billFoot, rows, rows/100, rows*3/2)
	}
	sum := sha1.New()
	write(sum)
	read, written := io.Pipe()
	go func() {
		w := gzip.NewWriter(written)
		write(w)
		_ = w.Close()
		_ = written.Close()
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	lines, err := readBill(t.Context(), read, "", [sha1.Size]byte(sum.Sum(nil)), maxBill)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || len(lines) != rows {
		t.Fatalf("got %d lines, %v", len(lines), err)
	}
	// A line is about 120 bytes and its three texts 80.
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > rows*400 {
		t.Errorf("%d MB are kept, want %d at most", kept>>20, rows*400>>20)
	}
	runtime.KeepAlive(lines)
}

func FuzzParseBill(f *testing.F) {
	f.Add(goodBill())
	f.Add(strings.ReplaceAll(goodBill(), "\r\n", "\n"))
	f.Add(billHead + "\n" + billFoot + "\n`0,`0,`0,`0,`0,`0,`0")
	f.Fuzz(func(t *testing.T, file string) {
		lines, err := parseBill(strings.NewReader(file), "")
		if err != nil {
			if !errors.Is(err, ErrBill) || lines != nil {
				t.Fatalf("got %d lines, %v", len(lines), err)
			}
			return
		}
		for _, l := range lines {
			if l.Amount <= 0 || l.Amount > math.MaxInt64/2 || l.Number == "" || l.ID == "" || l.At.IsZero() && !strings.Contains(file, "0001") {
				t.Fatalf("got %+v", l)
			}
		}
	})
}
