package fakewechat

import "time"

// quotas are the counters of the api's limits, by name.
type quotas map[string]*quota

// quota counts within a window: a minute, a day, a month.
type quota struct {
	window string
	count  int
}

// spend counts a call and reports whether the window had room for it.
func (q *quota) spend(window string, most int) bool {
	if q.window != window {
		q.window, q.count = window, 0
	}
	if q.count >= most {
		return false
	}
	q.count++
	return true
}

func (q quotas) spend(name, window string, most int) bool {
	if q[name] == nil {
		q[name] = &quota{}
	}
	return q[name].spend(window, most)
}

func second(t time.Time) string { return t.UTC().Format("20060102150405") }
func minute(t time.Time) string { return t.UTC().Format("200601021504") }
func day(t time.Time) string    { return t.In(china).Format("20060102") }
func month(t time.Time) string  { return t.In(china).Format("200601") }
