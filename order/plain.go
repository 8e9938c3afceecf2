package order

import "strings"

// Plain is an error's text for whoever entered the value: without the sentinel at its
// end, by which only programs tell it from others.
func Plain(err error) string {
	return strings.ReplaceAll(err.Error(), ": "+ErrInvalid.Error(), "")
}
