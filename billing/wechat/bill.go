package wechat

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
)

// Errors of bills.
var (
	// ErrNoBill: nothing moved on that day, or it is more than three months ago.
	ErrNoBill = errors.New("WeChat has no bill for this day")
	// ErrBillNotReady: WeChat writes a day's bill until ten o'clock of the next.
	ErrBillNotReady = errors.New("WeChat has not written this day's bill yet")
	// ErrBill: the file is not one that can be believed, and the text says why.
	ErrBill = errors.New("the bill cannot be used")
)

const (
	// billPatience bounds the two calls together.
	billPatience = 10 * time.Minute
	// maxBill is the longest plain file: about 1.5 million lines.
	maxBill = 512 << 20
)

// TradeBill is the money that moved on one day of China, "2026-11-01". The bill
// states what was accepted on that day and is never corrected: a refund stands in it
// with the state that it had when the bill was written.
//
// A score order that WeChat debited comes as Road Score with our number. One that its
// rider paid by hand looks like a transaction and comes as Road Transaction, with our
// number of the score order.
//
// Errors: ErrNoBill, ErrBillNotReady, ErrBill, ErrBadAsk, billing.ErrUnsure.
func (c *Cashier) TradeBill(ctx context.Context, day string) ([]billing.BillLine, error) {
	lines, err := c.tradeBill(ctx, day)
	if err != nil {
		return nil, fmt.Errorf("bill of %.10q: %w", day, err)
	}
	return lines, nil
}

func (c *Cashier) tradeBill(ctx context.Context, day string) ([]billing.BillLine, error) {
	if date, err := time.Parse(time.DateOnly, day); err != nil || date.Format(time.DateOnly) != day {
		return nil, fmt.Errorf("%w: a day looks like 2026-11-01", ErrBadAsk)
	}
	call, stop := context.WithTimeout(ctx, billPatience)
	defer stop()
	query := url.Values{"bill_date": {day}, "bill_type": {"ALL"}, "tar_type": {"GZIP"}}
	answer, err := c.client.Get(call, payURL+"/v3/bill/tradebill?"+query.Encode())
	if err != nil {
		return nil, billVerdict(ctx, err)
	}
	var where struct {
		HashType  string `json:"hash_type"`
		HashValue string `json:"hash_value"`
		Address   string `json:"download_url"`
	}
	if err := core.UnMarshalResponse(answer.Response, &where); err != nil {
		return nil, unsure(ctx, err)
	}
	want, err := hex.DecodeString(where.HashValue)
	if err != nil || len(want) != sha1.Size || where.HashType != "SHA1" {
		return nil, fmt.Errorf("%w: it comes without a SHA1 sum", ErrBill)
	}
	if u, err := url.Parse(where.Address); err != nil || u.Host == "" {
		return nil, fmt.Errorf("%w: it comes without an address", ErrBill)
	}
	// The address is good for minutes only and so used at once. Its answer is not
	// signed; the sum is, above.
	file, err := c.files.Get(call, where.Address)
	if err != nil {
		return nil, billVerdict(ctx, err)
	}
	defer func() { _ = file.Response.Body.Close() }()
	return readBill(ctx, file.Response.Body, c.cfg.AppID, [sha1.Size]byte(want), maxBill)
}

// billVerdict knows the two refusals that are facts.
func billVerdict(ctx context.Context, err error) error {
	var answer *core.APIError
	if !errors.As(err, &answer) {
		return unsure(ctx, err)
	}
	switch answer.Code {
	case "NO_STATEMENT_EXIST":
		return ErrNoBill
	case "STATEMENT_CREATING":
		return ErrBillNotReady
	}
	return notUnderstood(answer)
}

// readBill unpacks, sums and parses a file as it comes, so that memory holds its
// lines and never the file. Nothing is returned unless the sum is right.
func readBill(ctx context.Context, packed io.Reader, app string, want [sha1.Size]byte, most int64) ([]billing.BillLine, error) {
	source := &leaky{Reader: packed}
	in := bufio.NewReader(source)
	plain := io.Reader(in)
	// A proxy that unpacks on the way leaves the plain file.
	if head, _ := in.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, source.verdict(ctx, "its compression is broken")
		}
		plain = unpacked
	}
	sum := sha1.New()
	limited := &io.LimitedReader{R: plain, N: most + 1}
	lines, parseErr := parseBill(io.TeeReader(limited, sum), app)
	if parseErr == nil || source.err == nil {
		// What the parser left behind belongs to the sum too.
		if _, err := io.Copy(sum, limited); err != nil {
			return nil, source.verdict(ctx, "its compression is broken")
		}
	}
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("%w: it is longer than %d MB", ErrBill, most>>20)
	case source.err != nil:
		return nil, source.verdict(ctx, "")
	case [sha1.Size]byte(sum.Sum(nil)) != want:
		return nil, fmt.Errorf("%w: its SHA1 sum is not the one that WeChat signed", ErrBill)
	}
	return lines, parseErr
}

// leaky remembers that the network failed, which a decompressor would report as a
// broken file.
type leaky struct {
	io.Reader
	err error
}

func (f *leaky) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

func (f *leaky) verdict(ctx context.Context, otherwise string) error {
	if f.err != nil {
		return unsure(ctx, f.err)
	}
	return fmt.Errorf("%w: %s", ErrBill, otherwise)
}

// scoreNumber finds our number of a score order in what WeChat writes beside its
// debit: wxzff|service order|number.
func scoreNumber(attached string) string {
	parts := strings.Split(strings.TrimLeft(strings.TrimSpace(attached), "`"), "|")
	if len(parts) != 3 || parts[0] != "wxzff" {
		return ""
	}
	if number := strings.TrimSpace(parts[2]); numberText.MatchString(number) {
		return number
	}
	return ""
}
