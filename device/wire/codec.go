package wire

import "github.com/fxamacker/cbor/v2"

// encode writes core deterministic CBOR (RFC 8949, 4.2.1); decode reads as
// strictly as the library can: no indefinite lengths, duplicate keys, tags,
// null, undefined or trailing bytes, and few levels. Both are safe for
// concurrent use.
var (
	encode = must(cbor.CoreDetEncOptions().EncMode())
	decode = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  6,
		MaxArrayElements: 64,
		MaxMapPairs:      64,
		UTF8:             cbor.UTF8RejectInvalid,
		SimpleValues: must(cbor.NewSimpleValueRegistryFromDefaults(
			cbor.WithRejectedSimpleValue(22), cbor.WithRejectedSimpleValue(23))),
	}.DecMode())
)

// must serves the two variables above alone, whose options are constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// maxInt64 bounds what must also fit a signed column or a signed variable.
const maxInt64 = 1<<63 - 1

// maxUptime is 285,000 years: what is computed from an uptime fits its column.
const maxUptime = 1 << 53
