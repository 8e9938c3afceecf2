package wechat

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/unlatch/unlatch/billing"
)

// The names of lines that WeChat's acceptance allows for shared bikes.
const (
	itemRule   = "计费规则"
	itemLength = "骑行时长"
	itemFee    = "骑行费用"
	// itemFuel is the one line of a pump's score order beside its rule.
	itemFuel = "加油费用"
)

// maxItemText is how much of a line the rider's phone shows.
const maxItemText = 30

// billItems are the lines of a completed score order; their amounts add up to
// a.Amount.
func billItems(a billing.Ask) []scoreItem {
	items := []scoreItem{{Name: itemRule, Description: ruleText(a.Tariff)}}
	fee := itemFee
	if a.Kind == "pump" {
		fee = itemFuel
	} else {
		items = append(items, scoreItem{Name: itemLength, Description: lengthText(a.Used)})
	}
	if a.Amount > 0 {
		items = append(items, scoreItem{Name: fee, Amount: int64(a.Amount)})
	}
	return items
}

// ruleText is a tariff in 30 characters: 起步1元,每10分钟0.5元,封顶20元. What does not fit
// is left out from the end, never cut in the middle of a figure.
func ruleText(t billing.Tariff) string {
	var parts []string
	switch {
	case t.TimeRule != nil:
		parts = timeText(t.TimeRule)
	case t.FuelRule != nil:
		for _, g := range t.Grades {
			parts = append(parts, fmt.Sprintf("%s号%s元/升", g.ID, milli(g.UnitPrice)))
		}
	}
	text := ""
	for _, part := range parts {
		longer := part
		if text != "" {
			longer = text + "," + part
		}
		if utf8.RuneCountInString(longer) > maxItemText {
			break
		}
		text = longer
	}
	if text != "" {
		return text
	}
	if len(parts) > 0 {
		return "以小程序内公示价格为准"
	}
	return "免费"
}

func timeText(r *billing.TimeRule) []string {
	var parts []string
	if r.UnlockFee > 0 {
		parts = append(parts, "起步"+yuan(r.UnlockFee)+"元")
	}
	if r.FreeMS > 0 {
		parts = append(parts, "前"+spell(time.Duration(r.FreeMS)*time.Millisecond)+"免时长费")
	}
	if r.BlockFee > 0 {
		parts = append(parts, "每"+spell(time.Duration(r.BlockMS)*time.Millisecond)+yuan(r.BlockFee)+"元")
	}
	if r.RideCap > 0 && len(parts) > 0 {
		parts = append(parts, "封顶"+yuan(r.RideCap)+"元")
	}
	if r.DayCap > 0 && len(parts) > 0 {
		parts = append(parts, "每日封顶"+yuan(r.DayCap)+"元")
	}
	return parts
}

// yuan is an amount without needless zeros: 1, 0.5, 20.05.
func yuan(f billing.Fen) string { return trimZeros(f.String()) }

// milli is a price in milli-yuan: 7.85.
func milli(price int64) string { return trimZeros(fmt.Sprintf("%d.%03d", price/1000, price%1000)) }

func trimZeros(text string) string {
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// lengthText is the length of a use, whole minutes as a bill begins them.
func lengthText(d time.Duration) string {
	d = max(d, 0)
	if d%time.Minute != 0 {
		d = d.Truncate(time.Minute) + time.Minute
	}
	return spell(max(d, time.Minute))
}

// spell is a length in Chinese, exact to the second: 12分钟, 1小时30分钟, 45秒.
func spell(d time.Duration) string {
	seconds := int64(d / time.Second)
	text := ""
	for _, unit := range []struct {
		word   string
		length int64
	}{{"小时", 3600}, {"分钟", 60}, {"秒", 1}} {
		if n := seconds / unit.length; n > 0 {
			text += strconv.FormatInt(n, 10) + unit.word
			seconds %= unit.length
		}
	}
	if text == "" {
		return "1秒"
	}
	return text
}
