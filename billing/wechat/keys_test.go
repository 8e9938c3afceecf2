package wechat

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
)

func block(kind string, der []byte, headers map[string]string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der, Headers: headers}))
}

func TestKeysSayWhatTheyAreInstead(t *testing.T) {
	must := func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	private, public := testKeys().merchant, &testKeys().merchant.PublicKey
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(private))
	pkix := must(x509.MarshalPKIXPublicKey(public))
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate := block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, public, private)), nil)
	good := block("PRIVATE KEY", pkcs8, nil)
	goodPublic := block("PUBLIC KEY", pkix, nil)

	for _, text := range []string{good, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private), nil), "\n" + good + "\n"} {
		if got, err := ParseMerchantKey([]byte(text)); err != nil || !got.Equal(private) {
			t.Errorf("merchant key: %v", err)
		}
	}
	for _, text := range []string{goodPublic, block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(public), nil)} {
		if got, err := ParsePublicKey([]byte(text)); err != nil || !got.Equal(public) {
			t.Errorf("public key: %v", err)
		}
	}
	for name, tc := range map[string]struct{ text, merchant, public string }{
		"empty":       {" \n", "the file is empty", "the file is empty"},
		"text":        {"MIIEvQIBADANBg", "it is no PEM file", "it is no PEM file"},
		"binary":      {string(pkcs8), "it is binary", "it is binary"},
		"one line":    {strings.ReplaceAll(good, "\n", " "), "it is no PEM file", "it is no PEM file"},
		"certificate": {certificate, "give apiclient_key.pem, not apiclient_cert.pem", "platform certificates are not supported"},
		"encrypted":   {block("ENCRYPTED PRIVATE KEY", pkcs8, nil), "encrypted with a password", "encrypted with a password"},
		"old encrypted": {block("RSA PRIVATE KEY", pkcs8, map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "DES-EDE3-CBC,0102030405060708"}),
			"encrypted with a password", "encrypted with a password"},
		"other half": {goodPublic, "it is a public key", ""},
		"private":    {good, "", "it is a private key"},
		"damaged":    {block("PRIVATE KEY", pkcs8[:100], nil), "the block is damaged", "it is a private key"},
		"damaged p":  {block("PUBLIC KEY", pkix[:100], nil), "it is a public key", "the block is damaged"},
		"curve":      {block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(curve)), nil), "another kind than RSA", "it is a private key"},
		"curve p":    {block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&curve.PublicKey)), nil), "it is a public key", "another kind than RSA"},
		"short":      {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short), nil), "it has 1024 bits", "it is a private key"},
		"two":        {good + good, "more than one block", "more than one block"},
		"request":    {block("CERTIFICATE REQUEST", pkcs8, nil), `type "CERTIFICATE REQUEST"`, `type "CERTIFICATE REQUEST"`},
	} {
		for what, want := range map[string]string{"merchant private key": tc.merchant, "WeChat Pay public key": tc.public} {
			var err error
			if what == "merchant private key" {
				_, err = ParseMerchantKey([]byte(tc.text))
			} else {
				_, err = ParsePublicKey([]byte(tc.text))
			}
			if want == "" {
				if err != nil {
					t.Errorf("%s as %s: %v", name, what, err)
				}
				continue
			}
			if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), what) || strings.Contains(err.Error(), "MII") {
				t.Errorf("%s as %s: got %v, want %q", name, what, err, want)
			}
		}
	}
}
