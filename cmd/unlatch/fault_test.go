package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
)

// photo posts a file as a phone does and returns the status and body of the answer.
func (v *venue) photo(c client, id string, file []byte) (int, string) {
	v.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("photo", "wx_photo.jpg")
	if err != nil {
		v.t.Fatal(err)
	}
	_, _ = part.Write(file)
	_ = form.Close()
	r, err := http.NewRequestWithContext(v.ctx, http.MethodPost, c.base+"/v1/faults/"+id+"/photo", &b)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

// TestARiderFindsRingsAndReportsABike: what it costs so far runs while it rides, its bell
// rings for its rider alone, and staff see the photo of what is broken.
func TestARiderFindsRingsAndReportsABike(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada", "ben"}})
	ada, ben := v.rider("ada", 0, 5000), v.rider("ben", 0, 5000)
	var near api.Nearby
	if err := ada.do(v.ctx, http.MethodGet, "/v1/nearby?lat=31.0252&lng=121.4337&radius_m=5000", "", nil, &near); err != nil {
		t.Fatal(err)
	}
	for _, d := range near.Devices {
		if len(near.Venues) != 1 || near.Venues[0].ID != d.Venue || near.Venues[0].Name == "" {
			t.Errorf("the venues of %+v: %+v", near.Devices, near.Venues)
		}
	}

	ring := func(c client, id string) int {
		status, _, _ := v.ask(c, http.MethodPost, "/v1/orders/"+id+"/ring", "", "")
		return status
	}
	o, err := v.start(ada, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 60*time.Second)
	var live api.Order
	v.until("the ride's cost runs", 30*time.Second, func() bool {
		if err := ada.do(v.ctx, http.MethodGet, "/v1/orders/"+o.ID, "", nil, &live); err != nil {
			t.Fatal(err)
		}
		return live.Running != nil && live.Running.Seconds > 0
	})
	if live.Running.Fen < 1 || live.Running.Fen > live.Hold {
		t.Errorf("a ride of %d s runs at %d fen", live.Running.Seconds, live.Running.Fen)
	}
	if got := ring(ben, o.ID); got != http.StatusNotFound {
		t.Errorf("a stranger's ring: %d", got)
	}
	if got := ring(ada, o.ID); got != http.StatusAccepted {
		t.Fatalf("the rider's ring: %d", got)
	}
	v.until("the bell rang", 30*time.Second, func() bool { return v.body("bike-1").Rings > 0 })
	v.direct("bike-1", "close", nil)
	v.reaches(ada, o.ID, "settled", 60*time.Second)
	if got := ring(ada, o.ID); got != http.StatusConflict {
		t.Errorf("a ring after the ride: %d", got)
	}
	live = api.Order{}
	if err := ada.do(v.ctx, http.MethodGet, "/v1/orders/"+o.ID, "", nil, &live); err != nil || live.Running != nil {
		t.Errorf("a settled ride runs: %+v, %v", live.Running, err)
	}

	var ref api.FaultRef
	if err := ada.do(v.ctx, http.MethodPost, "/v1/faults", "", map[string]string{"url": v.codes["bike-1"], "kind": "damaged", "text": "saddle"}, &ref); err != nil || ref.ID == "" {
		t.Fatalf("report: %+v, %v", ref, err)
	}
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 2000, 1000)), nil); err != nil {
		t.Fatal(err)
	}
	if status, text := v.photo(ben, ref.ID, picture.Bytes()); status != http.StatusNotFound {
		t.Errorf("a stranger's photo: %d %s", status, text)
	}
	if status, text := v.photo(ada, ref.ID, []byte("no picture")); status != http.StatusUnprocessableEntity || !strings.Contains(text, "photo_invalid") {
		t.Errorf("no photo: %d %s", status, text)
	}
	if status, text := v.photo(ada, ref.ID, make([]byte, 6<<20)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a photo of 6 MiB: %d %s", status, text)
	}
	if status, text := v.photo(ada, ref.ID, picture.Bytes()); status != http.StatusNoContent {
		t.Fatalf("the photo: %d %s", status, text)
	}
	viewer := v.staffed(order.Viewer)
	var list api.FaultList
	if err := viewer.do(v.ctx, http.MethodGet, "/v1/operator/faults", "", nil, &list); err != nil || len(list.Faults) != 1 {
		t.Fatalf("faults: %+v, %v", list, err)
	}
	if f := list.Faults[0]; f.ID != ref.ID || !f.Photo || f.Kind != "damaged" || f.Text != "saddle" || f.Device != "bike-1" || f.Outlet != 1 || f.Rider == "" {
		b, _ := json.Marshal(f)
		t.Errorf("the fault: %s", b)
	}
	for who, c := range map[string]client{"staff": viewer, "rider": ada} {
		path := "/v1/faults/"
		if who == "staff" {
			path = "/v1/operator/faults/"
		}
		b, err := c.bytes(v.ctx, path+ref.ID+"/photo")
		if err != nil {
			t.Fatalf("%s: %v", who, err)
		}
		if shape, err := jpeg.DecodeConfig(bytes.NewReader(b)); err != nil || shape.Width != 1600 || shape.Height != 800 {
			t.Errorf("%s sees %d x %d, %v", who, shape.Width, shape.Height, err)
		}
	}
	tries := 0 // whatever comes of them
	for status := http.StatusUnprocessableEntity; status == http.StatusUnprocessableEntity && tries < 10; tries++ {
		status, _ = v.photo(ada, ref.ID, []byte("no picture"))
	}
	if tries > 6 {
		t.Errorf("%d tries to have something unfolded were taken in a row", tries)
	}
	if _, err := ben.bytes(v.ctx, "/v1/faults/"+ref.ID+"/photo"); err == nil {
		t.Error("a stranger sees the photo")
	}
}
