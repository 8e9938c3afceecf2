package wechat

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValuesAreClippedToTheirSort(t *testing.T) {
	for _, tc := range []struct{ key, value, want string }{
		{"thing1", "骑行结束", "骑行结束"},
		{"thing12", strings.Repeat("骑", 21), strings.Repeat("骑", 19) + "…"},
		{"thing1", "一\n二\t三", "一 二 三"},
		{"thing1", "坏\xff的", "坏的"},
		{"phrase3", "已经结束了吗", "已经结束了"},
		{"character_string4", strings.Repeat("a", 40), strings.Repeat("a", 32)},
		{"name5", strings.Repeat("a", 25), strings.Repeat("a", 20)},
		{"name5", "张" + strings.Repeat("a", 25), "张" + strings.Repeat("a", 9)},
		{"car_number6", "京A12345678", "京A123456"},
		{"amount7", strings.Repeat("1", 50), strings.Repeat("1", 50)},
		{"new8", strings.Repeat("1", 50), strings.Repeat("1", 50)},
		{"thing1", "", ""},
	} {
		if got := fit(tc.key, tc.value); got != tc.want || !utf8.ValidString(got) {
			t.Errorf("%s %q: got %q, want %q", tc.key, tc.value, got, tc.want)
		}
	}
	if got := clip("骑行", 0); got != "" {
		t.Errorf("got %q", got)
	}
}
