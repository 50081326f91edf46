package chaos_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/chaos"
)

// targets has names that contain each other, and dashes.
func targets() []chaos.Target {
	return []chaos.Target{{"db", "postgres"}, {"db-read", "postgres"}, {"redis", "redis"}, {"kafka", "kafka"}, {"mail-slow", "tcp"}}
}

func TestParse(t *testing.T) {
	type attributes = map[string]any
	for _, test := range []struct {
		name, value string
		flags       chaos.Options
		target, typ string
		stream      string
		want        attributes
	}{
		{"db-latency", "500ms", chaos.Options{}, "db", "latency", "downstream", attributes{"latency": int64(500), "jitter": int64(0)}},
		{"db-latency", "1m30s", chaos.Options{}, "db", "latency", "downstream", attributes{"latency": int64(90_000), "jitter": int64(0)}},
		{"db-latency", "500ms±100ms", chaos.Options{}, "db", "latency", "downstream", attributes{"latency": int64(500), "jitter": int64(100)}},
		{"db-latency", "500ms,100ms", chaos.Options{}, "db", "latency", "downstream", attributes{"latency": int64(500), "jitter": int64(100)}},
		{"db-latency", "500ms", chaos.Options{Jitter: 100 * time.Millisecond, Stream: "upstream"}, "db", "latency", "upstream", attributes{"latency": int64(500), "jitter": int64(100)}},
		{"db-read-latency", "5ms", chaos.Options{}, "db-read", "latency", "downstream", attributes{"latency": int64(5), "jitter": int64(0)}},
		{"redis-down", "", chaos.Options{}, "redis", "down", "", attributes{}},
		{"kafka-timeout", "", chaos.Options{}, "kafka", "timeout", "", attributes{"timeout": int64(0)}},
		{"kafka-timeout", "10s", chaos.Options{Stream: "upstream"}, "kafka", "timeout", "upstream", attributes{"timeout": int64(10_000)}},
		{"db-reset", "", chaos.Options{}, "db", "reset", "", attributes{"timeout": int64(0)}},
		{"db-reset", "2s", chaos.Options{Stream: "upstream"}, "db", "reset", "", attributes{"timeout": int64(2000)}},
		{"db-bandwidth", "64KB/s", chaos.Options{}, "db", "bandwidth", "downstream", attributes{"rate": int64(64)}},
		{"db-bandwidth", "1MiB/s", chaos.Options{}, "db", "bandwidth", "downstream", attributes{"rate": int64(1048)}},
		{"db-limit-data", "16KB", chaos.Options{}, "db", "limit_data", "downstream", attributes{"bytes": int64(16_000)}},
		{"db-limit-data", "1.5KiB", chaos.Options{}, "db", "limit_data", "downstream", attributes{"bytes": int64(1536)}},
		{"db-slow-close", "2s", chaos.Options{}, "db", "slow_close", "downstream", attributes{"delay": int64(2000)}},
		{"mail-slow-slow-close", "2s", chaos.Options{}, "mail-slow", "slow_close", "downstream", attributes{"delay": int64(2000)}},
		{"db-slicer", "", chaos.Options{}, "db", "slicer", "downstream", attributes{"average_size": int64(64), "size_variation": int64(32), "delay": int64(100)}},
		{"db-slicer", "1B", chaos.Options{}, "db", "slicer", "downstream", attributes{"average_size": int64(1), "size_variation": int64(0), "delay": int64(100)}},
	} {
		t.Run(fmt.Sprintf("%s %s is understood", test.name, test.value), func(t *testing.T) {
			s, err := chaos.Parse(test.name, test.value, test.flags, targets())
			if err != nil {
				t.Fatal(err)
			}
			if s.Target != test.target || s.Type != test.typ || s.Stream != test.stream || !maps.Equal(s.Attributes, test.want) {
				t.Errorf("got %+v", s)
			}
			if s.For != chaos.DefaultLease || s.Probability != 1 {
				t.Errorf("lease %s, probability %v", s.For, s.Probability)
			}
		})
	}

	t.Run("the flags are kept", func(t *testing.T) {
		s, err := chaos.Parse("db-down", "", chaos.Options{For: time.Minute, Probability: 0.25}, targets())
		if err != nil || s.For != time.Minute || s.Probability != 0.25 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		name, value string
		flags       chaos.Options
		what, hint  string // parts of them
	}{
		{"db-latncy", "5ms", chaos.Options{}, `db has no fault "latncy"`, "did you mean db-latency?"},
		{"db-latnecy", "5ms", chaos.Options{}, `db has no fault "latnecy"`, "did you mean db-latency?"},
		{"bd-latency", "5ms", chaos.Options{}, `there is no dependency "bd"`, "did you mean db-latency?"},
		{"warehouse-latency", "5ms", chaos.Options{}, `there is no dependency "warehouse"`, "db, db-read, redis"},
		{"db-explosion", "", chaos.Options{}, `db has no fault "explosion"`, "latency, down, timeout"},
		{"db-", "", chaos.Options{}, `db has no fault ""`, "latency, down"},
		{"db", "", chaos.Options{}, `"db" is no fault`, "DEPENDENCY-FAULT"},
		{"", "", chaos.Options{}, `"" is no fault`, "DEPENDENCY-FAULT"},
		{strings.Repeat("x", 100_000), "", chaos.Options{}, "is no fault", "DEPENDENCY-FAULT"},
		{"db-latency", "", chaos.Options{}, "db-latency needs a value", "db-latency 500ms"},
		{"redis-latency", "", chaos.Options{}, "redis-latency needs a value", "redis-latency 500ms"},
		{"db-latency", "500", chaos.Options{}, "a duration needs a unit", "500ms"},
		{"db-latency", "soon", chaos.Options{}, `"soon" is not a duration`, "500ms"},
		{"db-latency", "-5ms", chaos.Options{}, "too short", "1ms"},
		{"db-latency", "1us", chaos.Options{}, "too short", "1ms"},
		{"db-latency", "2h", chaos.Options{}, "too long", "1h"},
		{"db-latency", "1500us", chaos.Options{}, "not whole milliseconds", "2ms"},
		{"db-latency", "99999999999999999h", chaos.Options{}, "not a duration", "500ms"},
		{"db-latency", "5ms±10ms", chaos.Options{}, "more than the latency", "5ms"},
		{"db-latency", "5ms,", chaos.Options{}, "jitter", "500ms"},
		{"db-latency", "5ms,1ms", chaos.Options{Jitter: time.Millisecond}, "jitter is given twice", "once"},
		{"db-latency", "5ms", chaos.Options{Jitter: -time.Millisecond}, "negative", "100ms"},
		{"db-down", "", chaos.Options{Jitter: time.Millisecond}, "db-down has no jitter", "latency"},
		{"db-down", "5s", chaos.Options{}, "db-down takes no value", "type db-down"},
		{"db-bandwidth", "64KB", chaos.Options{}, "not a rate", "64KB/s"},
		{"db-bandwidth", "1B/s", chaos.Options{}, "too slow", "timeout"},
		{"db-limit-data", "16", chaos.Options{}, "a size needs a unit", "16KB"},
		{"db-limit-data", "lots", chaos.Options{}, "not a size", "64KB"},
		{"db-limit-data", "NaNKB", chaos.Options{}, "not a size", "64KB"},
		{"db-limit-data", "InfKB", chaos.Options{}, "out of range", "1B"},
		{"db-limit-data", "-1KB", chaos.Options{}, "out of range", "1B"},
		{"db-slicer", "2GiB", chaos.Options{}, "too large", "1GiB"},
		{"db-down", "", chaos.Options{Probability: 1.5}, "probability 1.5", "0.2"},
		{"db-down", "", chaos.Options{Probability: -1}, "probability -1", "0.2"},
		{"db-down", "", chaos.Options{Probability: math.NaN()}, "probability NaN", "0.2"},
		{"db-down", "", chaos.Options{For: -time.Second}, "negative", "30s"},
		{"db-latency", "5ms", chaos.Options{Stream: "sideways"}, "sideways", "downstream or upstream"},
	} {
		t.Run(fmt.Sprintf("%.20s %s %+v is refused with a hint", test.name, test.value, test.flags), func(t *testing.T) {
			s, err := chaos.Parse(test.name, test.value, test.flags, targets())
			var usage *chaos.UsageError
			if !errors.As(err, &usage) {
				t.Fatalf("got %+v, %v", s, err)
			}
			if !strings.Contains(usage.What, test.what) || !strings.Contains(usage.Hint, test.hint) {
				t.Errorf("what %q, hint %q", usage.What, usage.Hint)
			}
		})
	}

	t.Run("with no dependency there is none to act on", func(t *testing.T) {
		var usage *chaos.UsageError
		if _, err := chaos.Parse("db-latency", "5ms", chaos.Options{}, nil); !errors.As(err, &usage) || usage.Hint == "" {
			t.Errorf("got %v", err)
		}
	})
}

func TestRecipes(t *testing.T) {
	t.Run("each explains itself, with an example that works", func(t *testing.T) {
		for _, r := range chaos.Recipes() {
			if r.Fault == "" || r.Summary == "" || r.Client == "" {
				t.Errorf("incomplete: %+v", r)
			}
			name, value, _ := strings.Cut(r.Example, " ")
			if _, err := chaos.Parse(name, value, chaos.Options{}, targets()); err != nil || name != "db-"+r.Fault {
				t.Errorf("%s: %v", r.Example, err)
			}
		}
	})

	t.Run("there are eight, the same each time", func(t *testing.T) {
		var names []string
		for _, r := range chaos.Recipes() {
			names = append(names, r.Fault)
		}
		if got := strings.Join(names, " "); got != "latency down timeout reset bandwidth slow-close limit-data slicer" {
			t.Error(got)
		}
	})
}

func TestCheck(t *testing.T) {
	t.Run("the numbers of JSON become whole numbers", func(t *testing.T) {
		s, err := chaos.Check(chaos.Spec{Target: "db", Type: "latency", Attributes: map[string]any{"latency": 500.0, "jitter": 3}})
		if err != nil || s.Attributes["latency"] != int64(500) || s.Attributes["jitter"] != int64(3) {
			t.Errorf("got %+v, %v", s, err)
		}
	})

	t.Run("Toxiproxy's name for a reset is taken", func(t *testing.T) {
		if s, err := chaos.Check(chaos.Spec{Type: "reset_peer", Stream: "downstream"}); err != nil || s.Type != chaos.Reset || s.Stream != "" {
			t.Errorf("got %+v, %v", s, err)
		}
	})

	t.Run("what is given is not changed", func(t *testing.T) {
		given := map[string]any{"latency": 5.0}
		if _, err := chaos.Check(chaos.Spec{Type: "latency", Attributes: given}); err != nil || len(given) != 1 || given["latency"] != 5.0 {
			t.Errorf("now %v, %v", given, err)
		}
	})

	t.Run("attributes that are wrong, missing or strange are refused", func(t *testing.T) {
		for _, s := range []chaos.Spec{
			{Type: "latensy"},
			{Type: "latency", Attributes: map[string]any{"latency": -1}},
			{Type: "latency", Attributes: map[string]any{"latency": 1.5}},
			{Type: "latency", Attributes: map[string]any{"latency": math.NaN()}},
			{Type: "latency", Attributes: map[string]any{"latency": math.Inf(1)}},
			{Type: "latency", Attributes: map[string]any{"latency": nil}},
			{Type: "latency", Attributes: map[string]any{"delay": 1}},
			{Type: "down", Attributes: map[string]any{"timeout": 1}},
			{Type: "bandwidth"},
			{Type: "bandwidth", Attributes: map[string]any{"rate": 0}},
			{Type: "slicer", Attributes: map[string]any{"average_size": 4, "size_variation": 4}},
		} {
			var usage *chaos.UsageError
			if _, err := chaos.Check(s); !errors.As(err, &usage) || usage.Hint == "" {
				t.Errorf("%+v: %v", s, err)
			}
		}
	})
}

func TestFaultJSON(t *testing.T) {
	t.Run("it has the names of the contract", func(t *testing.T) {
		text, err := json.Marshal(chaos.Fault{ID: "db-latency", Target: "db", Type: "latency", Attributes: map[string]any{"latency": int64(5)}, Probability: 1, Hits: 2, ExpiresAt: time.Unix(0, 0).UTC()})
		want := `{"id":"db-latency","target":"db","type":"latency","attributes":{"latency":5},"probability":1,"match":"","hits":2,"expires_at":"1970-01-01T00:00:00Z"}`
		if err != nil || string(text) != want {
			t.Errorf("%s, %v", text, err)
		}
	})
}
