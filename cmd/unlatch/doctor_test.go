package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

// TestTheDoctorNamesWhatIsWrong: against the double, with an installation that serves
// its verification file and its notify address.
func TestTheDoctorNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	keys, err := demoKeys()
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, err := x509.MarshalPKCS8PrivateKey(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&keys[1].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	verification := write("MP_verify_abc.txt", []byte("abc"))
	v := newVenue(t, venueConfig{Riders: []string{"ada"}, Verification: map[string][]byte{"MP_verify_abc.txt": []byte("abc")},
		WeChat: func(c *fakewechat.Config) {
			c.Rules = []fakewechat.Rule{{Prefix: "https://q.test/d/", Page: "pages/scan/scan", Published: true}}
		}})
	healthy := doctorWeChatCmd{Domain: "q.test", weChatFlags: weChatFlags{AppID: demoAppID, Secret: demoSecret, MchID: demoMchID,
		MchSerial: demoSerial, MchKey: write("apiclient_key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		PublicKeyID: demoKeyID, PublicKey: write("pub_key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		APIv3Key: demoAPIv3, ServiceID: demoServiceID, Verification: []string{verification}}}
	// What is well comes first: WeChat answers questions about rules five times a second.
	for _, c := range []struct {
		name string
		bend func(*doctorWeChatCmd)
		says string // in a finding that is wrong; "" = all is well
	}{
		{"all is well", func(*doctorWeChatCmd) {}, ""},
		{"another secret", func(d *doctorWeChatCmd) { d.Secret = "x" }, "secret"},
		{"another domain", func(d *doctorWeChatCmd) { d.Domain = "other.test" }, "rule"},
		{"another serial", func(d *doctorWeChatCmd) { d.MchSerial = strings.Repeat("A", 40) }, "serial"},
		{"the keys are exchanged", func(d *doctorWeChatCmd) { d.MchKey, d.PublicKey = d.PublicKey, d.MchKey }, "key"},
		{"a short APIv3 key", func(d *doctorWeChatCmd) { d.APIv3Key = "short" }, "apiv3 key"},
		{"no Pay Score", func(d *doctorWeChatCmd) { d.ServiceID = strings.Repeat("9", 32) }, "service"},
		{"notifications elsewhere", func(d *doctorWeChatCmd) { d.NotifyURL = "https://q.test/v1/elsewhere" }, "notif"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := healthy
			c.bend(&d)
			x, err := d.examination()
			if err != nil {
				t.Fatal(err)
			}
			x.APIBaseURL, x.PayBaseURL, x.SiteBaseURL = v.double.url, v.double.url, v.nodes[0].url()
			var out bytes.Buffer
			err = d.report(&out, wechat.Examine(t.Context(), x))
			if c.says == "" {
				if err != nil {
					t.Errorf("%v\n%s", err, &out)
				}
				return
			}
			wrong := ""
			for _, line := range strings.Split(out.String(), "\n") {
				if strings.HasPrefix(line, "WRONG") {
					wrong += line + "\n"
				}
			}
			if !errors.Is(err, errFound) || !strings.Contains(strings.ToLower(wrong), c.says) {
				t.Errorf("%v; want a finding about %q\n%s", err, c.says, &out)
			}
			for _, secret := range []string{demoSecret, demoAPIv3} {
				if strings.Contains(out.String(), secret) {
					t.Errorf("the findings tell a secret:\n%s", &out)
				}
			}
		})
	}
}
