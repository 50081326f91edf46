package play_test

import (
	"strings"
	"testing"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/play"
)

func TestFidelity(t *testing.T) {
	codes := func(f play.Fidelity) string {
		var all []string
		for _, r := range f.Reasons {
			all = append(all, r.Code+" "+r.Path)
		}
		return strings.Join(all, ", ")
	}
	plain := exchange()
	plain.Redacted = []string{"response.body.token", "request.header.idempotency-key"}
	t.Run("what is sent as it was is faithful", func(t *testing.T) {
		if f := play.Assess(plain, play.Options{}); !f.Faithful {
			t.Errorf("%+v", f)
		}
	})
	t.Run("secrets that were redacted are named", func(t *testing.T) {
		ex := exchange()
		ex.Redacted = append(ex.Redacted, "request.body.password")
		if got := codes(play.Assess(ex, play.Options{})); got !=
			"redacted request.header.authorization, redacted request.header.cookie, redacted request.body.password" {
			t.Errorf("%s", got)
		}
	})
	t.Run("unless they are supplied", func(t *testing.T) {
		o := play.Options{Headers: map[string]string{"Authorization": "Bearer x", "Cookie": "s=1"}}
		if f := play.Assess(exchange(), o); !f.Faithful {
			t.Errorf("%+v", f)
		}
	})
	for state, want := range map[replay.BodyState]string{
		replay.Truncated: "body_truncated request.body", replay.Unread: "body_unread request.body", replay.Aborted: "body_aborted request.body",
	} {
		t.Run("a body that is "+string(state)+" is named", func(t *testing.T) {
			ex := *plain
			ex.Request.Body.State = state
			if got := codes(play.Assess(&ex, play.Options{})); got != want {
				t.Errorf("%s", got)
			}
		})
	}
	t.Run("only safe methods are safe to repeat", func(t *testing.T) {
		for method, want := range map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "POST": false, "PUT": false, "DELETE": false, "": false} {
			if play.Safe(&replay.Exchange{Request: replay.Request{Method: method}}) != want {
				t.Errorf("%s", method)
			}
		}
	})
}
