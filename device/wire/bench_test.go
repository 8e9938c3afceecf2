package wire

import "testing"

func goodEvidence(b *testing.B) Evidence {
	b.Helper()
	for _, g := range goodMessages {
		if g.name == "executed" {
			return g.message.(Evidence)
		}
	}
	b.Fatal("no vector named executed")
	return Evidence{}
}

func BenchmarkSignCommand(b *testing.B) {
	s, c := NewSigner(serverKey), goodMessages[0].message.(Command)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := SealCommand(s, vectorDevice, c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyEvidence(b *testing.B) {
	sealed, err := SealEvidence(NewSigner(deviceKey), vectorDevice, goodEvidence(b))
	if err != nil {
		b.Fatal(err)
	}
	v := vectorVerifiers["uplink"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := OpenUplink(v, vectorDevice, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeEvidence(b *testing.B) {
	e := goodEvidence(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encodeEvidence(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEvidence(b *testing.B) {
	payload, err := encodeEvidence(goodEvidence(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeUplink(payload); err != nil {
			b.Fatal(err)
		}
	}
}
