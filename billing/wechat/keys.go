package wechat

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ErrKey says what was given instead of the key that was asked for.
var ErrKey = errors.New("this is not the key")

// ParseMerchantKey reads the private key of the merchant's API certificate,
// apiclient_key.pem. Its error is ErrKey and names what the file holds instead.
func ParseMerchantKey(text []byte) (*rsa.PrivateKey, error) {
	const wanted = "merchant private key"
	block, err := onlyBlock(wanted, text)
	if err != nil {
		return nil, err
	}
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "CERTIFICATE":
		return nil, notTheKey(wanted, "it is a certificate: give apiclient_key.pem, not apiclient_cert.pem")
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, notTheKey(wanted, "it is a public key: give apiclient_key.pem, not pub_key.pem")
	default:
		return nil, notTheKey(wanted, fmt.Sprintf("it is a PEM block of type %.40q", block.Type))
	}
	if err != nil {
		return nil, notTheKey(wanted, "the block is damaged: copy the file again, with all its lines")
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, notTheKey(wanted, "it is a private key of another kind than RSA")
	}
	if err := sized(wanted, private.N.BitLen()); err != nil {
		return nil, err
	}
	return private, nil
}

// ParsePublicKey reads WeChat Pay's public key, pub_key.pem. Its error is ErrKey and
// names what the file holds instead.
func ParsePublicKey(text []byte) (*rsa.PublicKey, error) {
	const wanted = "WeChat Pay public key"
	block, err := onlyBlock(wanted, text)
	if err != nil {
		return nil, err
	}
	var key any
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		return nil, notTheKey(wanted, "it is a certificate: platform certificates are not supported, ask for the public key on the merchant platform under API security")
	case "PRIVATE KEY", "RSA PRIVATE KEY":
		return nil, notTheKey(wanted, "it is a private key: give pub_key.pem, not apiclient_key.pem")
	default:
		return nil, notTheKey(wanted, fmt.Sprintf("it is a PEM block of type %.40q", block.Type))
	}
	if err != nil {
		return nil, notTheKey(wanted, "the block is damaged: copy the file again, with all its lines")
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, notTheKey(wanted, "it is a public key of another kind than RSA")
	}
	if err := sized(wanted, public.N.BitLen()); err != nil {
		return nil, err
	}
	return public, nil
}

func notTheKey(wanted, instead string) error {
	return fmt.Errorf("%s: %w: %s", wanted, ErrKey, instead)
}

// onlyBlock takes the one PEM block out of a file.
func onlyBlock(wanted string, text []byte) (*pem.Block, error) {
	block, rest := pem.Decode(text)
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return nil, notTheKey(wanted, "the file is empty")
	case block == nil && bytes.HasPrefix(text, []byte("0\x82")):
		return nil, notTheKey(wanted, "it is binary: give the .pem file, not .p12 or .der")
	case block == nil:
		return nil, notTheKey(wanted, "it is no PEM file: it must begin with -----BEGIN and keep its line breaks")
	case strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "":
		return nil, notTheKey(wanted, "it is encrypted with a password: give the key without one")
	case bytes.Contains(rest, []byte("-----BEGIN")):
		return nil, notTheKey(wanted, "the file holds more than one block: give the key alone")
	}
	return block, nil
}

// sized refuses keys that WeChat never made.
func sized(wanted string, bits int) error {
	if bits < 2048 {
		return notTheKey(wanted, fmt.Sprintf("it has %d bits; WeChat's have 2048", bits))
	}
	return nil
}
