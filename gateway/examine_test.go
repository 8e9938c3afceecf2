package gateway_test

import (
	"errors"
	"net"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/unlatch/unlatch/gateway"
)

// scripted is a broker of one client at a time that answers as it is told to.
type scripted struct {
	refuses  byte // the CONNACK's return code
	shares   byte // the SUBACK's
	swallows bool // takes messages and delivers none
}

func (s scripted) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(conn)
			_ = conn.Close()
		}
	}()
	return "tcp://" + l.Addr().String()
}

func (s scripted) serve(conn net.Conn) {
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *packets.ConnectPacket:
			answer := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
			answer.ReturnCode = s.refuses
			if answer.Write(conn) != nil || s.refuses != 0 {
				return
			}
		case *packets.SubscribePacket:
			answer := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			answer.MessageID, answer.ReturnCodes = p.MessageID, []byte{s.shares}
			_ = answer.Write(conn)
		case *packets.PublishPacket:
			if !s.swallows {
				_ = p.Write(conn)
			}
		}
	}
}

func TestABrokerIsExaminedBeforeItIsUsed(t *testing.T) {
	for name, c := range map[string]struct {
		broker scripted
		want   error
	}{
		"it serves":                        {scripted{}, nil},
		"it does not know the password":    {scripted{refuses: packets.ErrRefusedBadUsernameOrPassword}, gateway.ErrNotConnected},
		"it forbids the subscription":      {scripted{shares: 0x80}, gateway.ErrRefused},
		"it swallows what is shared (5 s)": {scripted{swallows: true}, gateway.ErrNoShare},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := gateway.Examine(t.Context(), gateway.LinkConfig{URL: c.broker.listen(t), User: "unlatch", Password: "p"})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if err := gateway.Examine(t.Context(), gateway.LinkConfig{URL: "tcp://127.0.0.1:1"}); !errors.Is(err, gateway.ErrNotConnected) {
		t.Errorf("nobody there: %v, want ErrNotConnected", err)
	}
}
