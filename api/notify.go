package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// Why a notification is not taken.
var (
	ErrNoticeForged  = errors.New("the notification is not WeChat's, or too old")
	ErrNoticeStrange = errors.New("the notification cannot be understood")
	ErrNoticeIgnored = errors.New("the notification is of a kind that is not needed")
)

// maxNotice is the largest notification, in bytes; real ones have a few thousand.
const maxNotice = 64 << 10

// noticePatience bounds the reading of a notification, and its keeping.
const noticePatience = 4 * time.Second

// notify takes a notification of WeChat: verified over the raw bytes, kept once, and
// answered. What follows from it is done afterwards, so that the answer comes in time;
// a crash in between leaves it in the inbox. WeChat reads nothing but the status.
func (a *API) notify(w http.ResponseWriter, r *http.Request) {
	if a.Pay == nil {
		a.refuse(w, r, "notify", errRoute)
		return
	}
	// Anybody may connect; WeChat counts an answer after 5 s as none.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(noticePatience))
	ctx, cancel := context.WithTimeout(r.Context(), noticePatience)
	defer cancel()
	r = r.WithContext(ctx)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNotice))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			err = errBodyTooLarge
		} else {
			err = errSlowBody
		}
		a.refuse(w, r, "notify", err)
		return
	}
	said, event, err := a.Pay.Open(r.Context(), r.Header, body)
	switch {
	case errors.Is(err, ErrNoticeIgnored):
		a.Log.Info("notification ignored", "event", event)
		w.WriteHeader(http.StatusNoContent)
		return
	case err != nil:
		a.Log.Warn("notification refused", "err", err)
		a.refuse(w, r, "notify", err)
		return
	}
	if err := a.keep(r, said, event); err != nil {
		a.refuse(w, r, "notify", err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) keep(r *http.Request, said billing.Said, event string) error {
	if err := a.Store.AddNotice(r.Context(), said, event); err != nil {
		return err
	}
	if a.Noticed != nil {
		a.Noticed()
	}
	return nil
}

// verification serves the files by which WeChat checks that the domain is ours, where
// it looks for them: beside the codes, and at the root.
func (a *API) verification(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/d"), "/")
		content, known := a.Verification[name]
		if !known || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(content)
	})
}
