package proxy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/chaos/proxy"
)

func TestNarrate(t *testing.T) {
	t.Run("faults are told each time, connections that fail once in a while", func(t *testing.T) {
		c := newClock()
		var said []string
		event := proxy.Narrate(func(text string) { said = append(said, text) })
		e := proxy.New(proxy.Config{Now: c.Now, AfterFunc: c.AfterFunc, OnEvent: event})
		defer e.Close()
		if _, err := e.Open(proxy.Definition{Name: "off", Upstream: "127.0.0.1:1", Disabled: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Clear(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			event(proxy.Event{At: c.Now(), Kind: proxy.Unreachable, Proxy: "db", Err: errors.New("dial db: refused")})
			event(proxy.Event{At: c.Now(), Kind: proxy.Refused, Proxy: "db"})
			c.move(6 * time.Second)
		}
		want := `chaos: off-down is on, until 2125-12-09
chaos: off-down is off after 0 hits (fault off)
db: dependency unreachable: dial db: refused
db: connection refused
db: dependency unreachable: dial db: refused
db: connection refused`
		if got := strings.Join(said, "\n"); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}
