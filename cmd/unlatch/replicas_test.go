package main

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWaitersWakeOnAnyReplica lets a rider wait at one replica for what the other
// may take in, by long poll and by stream.
func TestWaitersWakeOnAnyReplica(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Replicas: 2, Bikes: []string{"bike"}, Riders: []string{"ada"}})
	at := []client{v.rider("ada", 0, 10_000), v.rider("ada", 1, 0)}
	o, err := v.start(at[0], "bike")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range at {
		if err := c.await(t.Context(), o.ID, "active"); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at[1].base+"/v1/orders/"+o.ID+"/updates", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream.Header.Set("Authorization", "Bearer "+at[1].token)
	answer, err := http.DefaultClient.Do(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	told := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(answer.Body)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data:") && strings.Contains(lines.Text(), `"state":"settled"`) {
				told <- lines.Text()
				return
			}
		}
		told <- ""
	}()
	waited := make(chan error, 2)
	for _, c := range at {
		go func() { waited <- c.await(t.Context(), o.ID, "settled") }()
	}
	v.direct("bike", "close", nil)
	for range at {
		if err := <-waited; err != nil {
			t.Error(err)
		}
	}
	if line := <-told; line == "" {
		t.Error("the stream ended without the settled order")
	}
	v.judge("bike")
}

// TestALogoutEndsTheToken: tokens are revocable.
func TestALogoutEndsTheToken(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike"}, Riders: []string{"ada"}})
	c := v.rider("ada", 0, 0)
	if err := c.do(t.Context(), http.MethodPost, "/v1/logout", "", nil, nil); err != nil {
		t.Fatal(err)
	}
	if status, code, _ := v.ask(c, http.MethodGet, "/v1/me", "", ""); status != 401 {
		t.Errorf("after the logout: %d %s, want 401", status, code)
	}
	metrics, err := http.Get("http://" + v.nodes[0].MetricsAddr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	text, _ := io.ReadAll(metrics.Body)
	for _, name := range []string{`unlatch_refusals_total{code="unauthenticated"} 1`, "unlatch_words_heard_total", "unlatch_commands_sent_total"} {
		if !strings.Contains(string(text), name) {
			t.Errorf("metrics do not show %s", name)
		}
	}
}

// TestADeadDatabaseEndsTheProcess kills the private cluster under a demo; a
// process without its only memory must not go on.
func TestADeadDatabaseEndsTheProcess(t *testing.T) {
	t.Parallel()
	dir := readmeFolder(t)
	b, _ := running(t, dir)
	children, err := exec.Command("pgrep", "-P", strconv.Itoa(b.cmd.Process.Pid)).Output()
	if err != nil {
		t.Fatalf("children of the demo: %v", err)
	}
	for _, pid := range strings.Fields(string(children)) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(n, syscall.SIGKILL)
	}
	done := make(chan error, 1)
	go func() { done <- b.cmd.Wait() }()
	select {
	case err := <-done:
		if err == nil || !b.says("the private database ended by itself") {
			t.Errorf("ended with %v and said\n%s", err, b.printed())
		}
	case <-time.After(60 * time.Second):
		_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
		t.Errorf("still running a minute after its database was killed:\n%s", b.printed())
	}
}
