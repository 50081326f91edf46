package redact_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"example.com/goldenpath/replay"
)

// FuzzBody holds for any bytes: nothing panics, JSON stays JSON, and a secret
// field that is added to a JSON body is gone, also where the body was cut.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"password":"x","n":9007199254740993}`, `[1,2,{"token":{"a":[]}}]`, `{"a":"{\"secret\":\"b\"}"}`,
		"password=x&y=z", "<token>x</token>", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "data: {\"token\":1}\n\n",
		"\"", "{\"", "[redacted:0123abcd]", "4111 1111 1111 1111", "a: b: c", "://u:p@h",
	} {
		f.Add([]byte(seed), "application/json", uint16(9))
		f.Add([]byte(seed), "", uint16(30))
	}
	f.Add([]byte("--B\r\n\r\nx\r\n--B--"), "multipart/form-data; boundary=B", uint16(3))
	f.Fuzz(func(t *testing.T, body []byte, mediaType string, cut uint16) {
		once := redactBody(t, policy(), mediaType, string(body), replay.Full).Request.Body
		if mediaType == "application/json" && json.Valid(body) && once.Omitted == "" && !json.Valid(once.Bytes) {
			t.Errorf("%q became %q, which is no JSON", body, once.Bytes)
		}
		redactBody(t, policy(), mediaType, string(body), replay.Truncated)

		if !json.Valid(body) {
			return
		}
		secret := []byte(`{"z":` + string(body) + `,"password":"canarybird"}`)
		for _, state := range []replay.BodyState{replay.Full, replay.Truncated} {
			if state == replay.Truncated {
				secret = secret[:int(cut)%len(secret)]
			}
			got := redactBody(t, policy(), "application/json", string(secret), state).Request.Body.Bytes
			if !bytes.Contains(body, []byte("canar")) && bytes.Contains(got, []byte("canar")) {
				t.Errorf("the secret of %q is in %q", secret, got)
			}
		}
	})
}
