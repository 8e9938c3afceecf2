package rider

import (
	"strconv"
	"strings"
)

// The languages of the page.
const (
	Chinese = "zh-CN"
	English = "en"
)

// Language picks the page's language by an Accept-Language header (RFC 9110
// section 12.5.4): of Chinese and English the one with the higher weight, the
// earlier one when equal; Chinese when neither is asked for.
func Language(accept string) string {
	best, bestWeight := Chinese, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		tag, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		language := map[string]string{"zh": Chinese, "en": English}[primary]
		if language == "" {
			continue
		}
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(parameters), "q="); ok {
			var err error
			if weight, err = strconv.ParseFloat(q, 64); err != nil || weight < 0 || weight > 1 {
				continue
			}
		}
		if weight > bestWeight {
			best, bestWeight = language, weight
		}
	}
	return best
}

// trouble explains a code that leads to no device.
type trouble struct{ Title, Text string }

// wording is what a page says in one language.
type wording struct {
	Number, Venue, Price, Help string
	How, Open, Or              string
	Steps                      []string
	Unusable, Near             string
	Things                     map[string]string
	States                     map[string]string
	Troubles                   map[Wrong]trouble
}

var languages = map[string]wording{
	Chinese: {
		Number: "编号", Venue: "地点", Price: "价格", Help: "客服电话",
		How:      "如何使用",
		Open:     "在微信中打开",
		Or:       "打不开时：",
		Steps:    []string{"打开微信", "点击“扫一扫”", "对准这台设备上的二维码"},
		Unusable: "这台设备现在不能使用，请换一台。",
		Near:     "它现在没有网络，但在它旁边可以通过微信用蓝牙连接。",
		Things:   map[string]string{"lock": "共享单车", "pump": "加油机", "": "设备"},
		States: map[string]string{
			"available": "可以使用", "reserved": "已被预订", "in_use": "使用中", "non_operational": "暂停服务",
			"non_contactable": "暂时联系不上设备", "missing": "不在原处", "removed": "已撤走",
		},
		Troubles: map[Wrong]trouble{
			Mistyped: {"编号有误", "请核对印在二维码下方的 14 位数字，再输入一次，或用微信扫码。"},
			Forged:   {"不是我们的二维码", "这个二维码不是由我们制作的，请不要付款。请告诉我们您在哪里看到它。"},
			Unknown:  {"没有这个编号", "这个编号没有对应的设备。请换一台设备。"},
			Revoked:  {"二维码已停用", "这个二维码已不再使用。设备上可能有新的二维码，请扫新的，或换一台设备。"},
			Unbound:  {"尚未启用", "这个二维码还没有绑定设备。请换一台设备。"},
			Broken:   {"出错了", "我们这边出了问题，请稍后再试。"},
		},
	},
	English: {
		Number: "Number", Venue: "Place", Price: "Price", Help: "Help",
		How:      "How to use it",
		Open:     "Open in WeChat",
		Or:       "Should that not work:",
		Steps:    []string{"Open WeChat", "Tap Scan", "Point it at the code on this device"},
		Unusable: "This one cannot be used now. Please take another.",
		Near:     "It has no network now, but WeChat reaches it by Bluetooth if you stand beside it.",
		Things:   map[string]string{"lock": "Bike", "pump": "Fuel pump", "": "Device"},
		States: map[string]string{
			"available": "Available", "reserved": "Reserved", "in_use": "In use", "non_operational": "Out of service",
			"non_contactable": "Cannot be reached now", "missing": "Not in its place", "removed": "Taken away",
		},
		Troubles: map[Wrong]trouble{
			Mistyped: {"The number is mistyped", "Check the 14 digits printed under the code and try again, or scan it in WeChat."},
			Forged:   {"Not our code", "We did not make this code. Do not pay. Please tell us where you saw it."},
			Unknown:  {"Nothing has this number", "This number belongs to no device. Please take another one."},
			Revoked:  {"The code is no longer in use", "There may be a newer code on the device: scan that, or take another device."},
			Unbound:  {"Not in use yet", "This code is not bound to a device yet. Please take another one."},
			Broken:   {"Something went wrong", "The fault is on our side. Please try again in a while."},
		},
	},
}
