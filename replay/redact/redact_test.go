package redact_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/redact"
)

// canary is a secret that has no looks: only its place gives it away.
const canary = "canarybird"

// Secrets that their looks give away.
const (
	webToken = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLW9mLWEtY2FuYXJ5"
	card     = "4111111111111111"
	stripe   = "sk_live_canarycanarycanary"
)

func policy() *redact.Policy { return redact.New(redact.Options{Key: []byte("a key for tests")}) }

// redactBody redacts a request body of a media type and returns it.
func redactBody(t *testing.T, p *redact.Policy, mediaType, body string, state replay.BodyState) *replay.Exchange {
	t.Helper()
	ex := &replay.Exchange{Request: replay.Request{
		URL:    "/",
		Header: http.Header{"Content-Type": {mediaType}},
		Body:   replay.Body{State: state, Size: int64(len(body)), Bytes: []byte(body)},
	}}
	p.Exchange(ex)
	return ex
}

func TestBodiesLoseTheirSecrets(t *testing.T) {
	for name, c := range map[string]struct{ mediaType, body string }{
		"a JSON field":                     {"application/json", `{"password":"canarybird"}`},
		"a nested JSON field":              {"application/json", `{"a":[{"b":{"clientSecret":"canarybird"}}]}`},
		"a field in capitals":              {"application/json", `{"PASSWORD":"canarybird"}`},
		"a field in snake case":            {"application/json", `{"user_password_confirm":"canarybird"}`},
		"a field that is run together":     {"application/json", `{"newpassword":"canarybird"}`},
		"a field in camel case":            {"application/json", `{"myAPIKey":"canarybird"}`},
		"a field with an escaped name":     {"application/json", `{"pass\u0077ord":"canarybird"}`},
		"a field that folds to a name":     {"application/json", `{"paſſword":"canarybird"}`},
		"a number":                         {"application/json", `{"pin":90909090909}`},
		"a tree":                           {"application/json", `{"credentials":{"user":"x","list":["canarybird"]}}`},
		"the keys of a secret tree":        {"application/json", `{"tokens":{"canarybird":true}}`},
		"a second value in one body":       {"application/x-ndjson", "{\"a\":1}\n{\"token\":\"canarybird\"}\n"},
		"JSON within a string of JSON":     {"application/json", `{"payload":"{\"password\":\"canarybird\"}"}`},
		"an assignment within a string":    {"application/json", `{"message":"failed with password=canarybird today"}`},
		"GraphQL within a string":          {"application/json", `{"query":"mutation { login(password: \"canarybird\") }"}`},
		"a URL with a password":            {"application/json", `{"dsn":"postgres://notes:canarybird@localhost/notes"}`},
		"a web token as a value":           {"application/json", `{"note":"` + webToken + `"}`},
		"a web token as a name":            {"application/json", `{"` + webToken + `":1}`},
		"a card number as text":            {"application/json", `{"note":"pay with 4111 1111 1111 1111 please"}`},
		"a card number as a number":        {"application/json", `{"note":4111111111111111}`},
		"a bearer token in prose":          {"text/plain", "curl -H 'Authorization: Bearer canarybird'"},
		"a known prefix":                   {"text/plain", "use " + stripe + " for that"},
		"a private key":                    {"text/plain", "-----BEGIN RSA PRIVATE KEY-----\ncanarybird\n-----END RSA PRIVATE KEY-----\n"},
		"an urlencoded form":               {"application/x-www-form-urlencoded", "user=x&password=canarybird&b=1"},
		"a form with an escaped name":      {"application/x-www-form-urlencoded", "pass%77ord=canarybird"},
		"a form with JSON in it":           {"application/x-www-form-urlencoded", "p=%7B%22token%22%3A%22canarybird%22%7D"},
		"a form without a type":            {"", "password=canarybird"},
		"JSON that is called text":         {"text/plain", `{"password":"canarybird"}`},
		"JSON that is broken":              {"application/json", `{"password":"canarybird",}}`},
		"broken JSON with an escaped name": {"application/json", `{"a":1,,"pass\u0077ord":"canarybird"}`},
		"XML":                              {"application/xml", "<login><ns:password a='1'>canarybird</ns:password></login>"},
		"an XML attribute":                 {"application/xml", `<login password="canarybird"/>`},
		"YAML":                             {"application/yaml", "user: x\npassword: canarybird or so\n"},
		"server-sent events":               {"text/event-stream", "event: x\ndata: {\"token\":\"canarybird\"}\n\n"},
		"a multipart field": {"multipart/form-data; boundary=B",
			"--B\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\ncanarybird\r\n--B--\r\n"},
		"JSON in a multipart field": {"multipart/form-data; boundary=B",
			"--B\r\nContent-Disposition: form-data; name=\"x\"\r\nContent-Type: application/json\r\n\r\n{\"token\":\"canarybird\"}\r\n--B--\r\n"},
		"protobuf": {"application/proto", "\n\x0acanarybird"},
		"binary":   {"application/octet-stream", "\x00\x01canarybird"},
	} {
		t.Run(name, func(t *testing.T) {
			ex := redactBody(t, policy(), c.mediaType, c.body, replay.Full)
			got := string(ex.Request.Body.Bytes)
			for _, secret := range []string{canary, webToken, webToken[:30], card, "4111 1111", stripe, "90909090909"} {
				if strings.Contains(got, secret) {
					t.Errorf("%s is still in %q", secret, got)
				}
				if strings.Contains(strings.Join(ex.Redacted, " "), secret) {
					t.Errorf("%s is in the list of places %q", secret, ex.Redacted)
				}
			}
			if len(ex.Redacted) == 0 {
				t.Error("nothing was listed as redacted")
			}
			if json.Valid([]byte(c.body)) && !json.Valid([]byte(got)) {
				t.Errorf("it is no JSON any more: %s", got)
			}
		})
	}
}

func TestBodiesThatAreCutLoseTheirSecretsWhereverTheyAreCut(t *testing.T) {
	bodies := map[string]string{
		"application/json":                  `{"title":"x","n":12,"password":"canarybird","tokens":["canarybird"],"jwt-ish":"` + webToken + `","c":"4111 1111 1111 1111","m":"{\"token\":\"canarybird\"}"}`,
		"application/x-www-form-urlencoded": "user=x&password=canarybird&b=" + webToken,
		"text/plain":                        "see password=canarybird and 4111 1111 1111 1111 or " + webToken + " so",
		"multipart/form-data; boundary=B":   "--B\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\ncanarybird\r\n--B--\r\n",
		"text/event-stream":                 "data: {\"token\":\"canarybird\"}\n\ndata: " + webToken + "\n\n",
	}
	for mediaType, body := range bodies {
		for cut := range len(body) {
			ex := redactBody(t, policy(), mediaType, body[:cut], replay.Truncated)
			got := string(ex.Request.Body.Bytes)
			for _, part := range []string{"canar", webToken[:12], "4111 1"} {
				if strings.Contains(got, part) {
					t.Fatalf("%s cut at %d: %s is still in %q", mediaType, cut, part, got)
				}
			}
		}
	}
}

func TestWhatIsNoSecretIsKeptByteForByte(t *testing.T) {
	for name, body := range map[string]string{
		"exact numbers":     `{"id":9007199254740993,"big":123456789012345678901234567890,"f":1.0,"e":1E+2,"z":-0}`,
		"odd white space":   "\n{ \"a\" :\t[ 1 , 2 ] }\r\n",
		"escapes":           `{"a":"\u00e9\/\n","b":"<&>"}`,
		"repeated fields":   `{"a":1,"a":2}`,
		"words near names":  `{"monkey":"banana","keyboard":"qwerty","pageToken":"abc","primary_key":5,"key":"a","token_count":3,"compass":"north"}`,
		"an empty secret":   `{"password":"","token":null,"has_password":true}`,
		"ids like cards":    `{"id":4111111111111112,"snowflake":1234567890123456789,"ns":1767366245123456789}`,
		"prose":             `{"text":"a basic understanding of http://example.com/a:b, at 10:20:30"}`,
		"times and UUIDs":   `{"at":"2026-01-02T15:04:05.123456Z","id":"018f4e0a-1111-4222-8333-444455556666"}`,
		"a pseudonym again": `{"password":"[redacted:0123abcd]"}`,
	} {
		t.Run(name, func(t *testing.T) {
			ex := redactBody(t, policy(), "application/json", body, replay.Full)
			if got := string(ex.Request.Body.Bytes); got != body {
				t.Errorf("got  %s\nwant %s", got, body)
			}
			if len(ex.Redacted) != 0 {
				t.Errorf("listed as redacted: %q", ex.Redacted)
			}
		})
	}
	t.Run("beside a secret", func(t *testing.T) {
		const before, after = "{ \"id\": 9007199254740993 ,\"password\" : ", " , \"n\": 1.50}"
		got := string(redactBody(t, policy(), "application/json", before+`"canarybird"`+after, replay.Full).Request.Body.Bytes)
		if !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) {
			t.Errorf("%s", got)
		}
	})
}

func TestHeadersAndURLsLoseTheirSecrets(t *testing.T) {
	ex := &replay.Exchange{
		RequestID: webToken,
		Request: replay.Request{
			URL: "/reset/" + webToken + "/x%2Fy?access_token=canarybird&q=a%20b&code=canarybird&key=canarybird;sig=canarybird&j=" + webToken,
			Header: http.Header{
				"Authorization":       {"Bearer canarybird"},
				"Proxy-Authorization": {"canarybird"},
				"Cookie":              {"theme=canarybird; session=canarybird; canarybird"},
				"X-Api-Key":           {"canarybird"},
				"X-Internal-Key":      {"canarybird"},
				"X-My-Secret":         {"canarybird", "canarybird"},
				"Referer":             {"https://example.com/?token=canarybird"},
				"X-Note":              {"Basic Y2FuYXJ5OmJpcmQ="},
				"Idempotency-Key":     {"k-1"},
				"Accept":              {"application/json"},
				"User-Agent":          {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101"},
			},
		},
		Response: replay.Response{
			Header: http.Header{
				"Set-Cookie":       {"session=canarybird; Path=/; HttpOnly"},
				"Location":         {"/callback?token=canarybird"},
				"Www-Authenticate": {`Bearer realm="notes", error="invalid_token"`},
			},
			Trailer: http.Header{"X-Auth-Token": {"canarybird"}},
		},
	}
	policy().Exchange(ex)
	line := string(ex.AppendJSON(nil))
	for _, secret := range []string{canary, webToken, "Y2FuYXJ5OmJpcmQ"} {
		if strings.Contains(line, secret) {
			t.Errorf("%s is still in %s", secret, line)
		}
	}
	t.Run("what explains the request stays", func(t *testing.T) {
		for _, want := range []string{
			"Bearer [redacted:", "theme=[redacted:", "; Path=/; HttpOnly", "/x%2Fy?", "&q=a%20b&", `"k-1"`,
			`Bearer realm=\"notes\", error=\"invalid_token\"`, "rv:128.0",
		} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
	})
	t.Run("the places are listed", func(t *testing.T) {
		for _, want := range []string{
			"request.header.authorization", "request.query.access_token", "request.path", "response.header.set-cookie",
			"response.trailer.x-auth-token", "request_id",
		} {
			if !strings.Contains(strings.Join(ex.Redacted, " ")+" ", want+" ") {
				t.Errorf("no %s in %q", want, ex.Redacted)
			}
		}
	})
}

func TestPseudonyms(t *testing.T) {
	body := `{"password":"canarybird","nested":{"token":"canarybird","secret":"other"}}`
	read := func(p *redact.Policy) (a, b, c string) {
		var v struct {
			Password string
			Nested   struct{ Token, Secret string }
		}
		if err := json.Unmarshal(redactBody(t, p, "application/json", body, replay.Full).Request.Body.Bytes, &v); err != nil {
			t.Fatal(err)
		}
		return v.Password, v.Nested.Token, v.Nested.Secret
	}
	t.Run("equal secrets stay equal and others do not", func(t *testing.T) {
		a, b, c := read(policy())
		if a != b || a == c || !redact.Is(a) {
			t.Errorf("%s %s %s", a, b, c)
		}
	})
	t.Run("another process has others", func(t *testing.T) {
		a, _, _ := read(redact.New(redact.Options{}))
		b, _, _ := read(redact.New(redact.Options{}))
		if a == b {
			t.Errorf("both are %s", a)
		}
	})
	t.Run("fragments are what stands around them", func(t *testing.T) {
		got := redact.Fragments("a[redacted:0123abcd]b[redacted:x][redacted:0123abcd]")
		if strings.Join(got, "|") != "a|b[redacted:x]|" {
			t.Errorf("%q", got)
		}
	})
}

func TestBodiesThatCannotBeReadAreThrownAway(t *testing.T) {
	t.Run("gzip is undone and redacted", func(t *testing.T) {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(`{"password":"canarybird","a":1}`))
		_ = w.Close()
		ex := &replay.Exchange{Response: replay.Response{
			Header: http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {"application/json"}},
			Body:   replay.Body{State: replay.Full, Bytes: b.Bytes()},
		}}
		policy().Exchange(ex)
		got := ex.Response.Body
		if got.Decoded != "gzip" || strings.Contains(string(got.Bytes), canary) || !strings.Contains(string(got.Bytes), `"a":1`) {
			t.Errorf("%+v %s", got, got.Bytes)
		}
	})
	t.Run("an unknown coding", func(t *testing.T) {
		ex := &replay.Exchange{Response: replay.Response{
			Header: http.Header{"Content-Encoding": {"br"}}, Body: replay.Body{State: replay.Full, Bytes: []byte("canarybird")},
		}}
		policy().Exchange(ex)
		if got := ex.Response.Body; got.Bytes != nil || !strings.Contains(got.Omitted, "br") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("but a type that was vouched for is kept", func(t *testing.T) {
		p := redact.New(redact.Options{KeepTypes: []string{"application/proto", "image/*"}})
		for _, mediaType := range []string{"application/proto", "image/png"} {
			if got := redactBody(t, p, mediaType, "\x00\x01", replay.Full).Request.Body; string(got.Bytes) != "\x00\x01" {
				t.Errorf("%s: %+v", mediaType, got)
			}
		}
	})
}

func TestAResponseAlone(t *testing.T) {
	r := replay.Response{
		Header: http.Header{"Set-Cookie": {"s=canarybird"}},
		Body:   replay.Body{State: replay.Full, Bytes: []byte(`{"token":"canarybird"}`)},
	}
	policy().Response(&r)
	if strings.Contains(r.Header.Get("Set-Cookie")+string(r.Body.Bytes), canary) {
		t.Errorf("%+v", r)
	}
}

func TestOptions(t *testing.T) {
	p := redact.New(redact.Options{Names: []string{"national-id"}, Allow: []string{"Design Token"}})
	ex := redactBody(t, p, "application/json", `{"nationalId":"canarybird","design_token":"blue"}`, replay.Full)
	if got := string(ex.Request.Body.Bytes); strings.Contains(got, canary) || !strings.Contains(got, "blue") {
		t.Errorf("%s", got)
	}
}

func TestHugeAndDeepBodiesAreRedactedInTime(t *testing.T) {
	const size = 256 << 10
	for name, body := range map[string]string{
		"open brackets":     strings.Repeat("[", size),
		"open secrets":      strings.Repeat(`{"tokens":[`, size/11),
		"deep and then one": strings.Repeat("[", 5000) + `{"password":"canarybird"}` + strings.Repeat("]", 5000),
		"quotes":            strings.Repeat(`"=`, size/2),
		"elements":          strings.Repeat("<password", size/9),
		"tokens":            strings.Repeat("eyJ.", size/4),
		"schemes":           strings.Repeat("://", size/3),
		"digits":            strings.Repeat("4111 ", size/5),
		"backslashes":       `{"a":"` + strings.Repeat(`\\`, size/2) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, state := range []replay.BodyState{replay.Full, replay.Truncated} {
				got := redactBody(t, policy(), "application/json", body, state).Request.Body.Bytes
				if bytes.Contains(got, []byte(canary)) {
					t.Error("the secret is still there")
				}
			}
		})
	}
}
