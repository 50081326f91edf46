package suite

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/parity"
	"example.com/goldenpath/devtool/internal/parity/servers"
)

func TestExplore(t *testing.T) {
	spec := os.Getenv("EXPLORE")
	if spec == "" {
		t.Skip()
	}
	var ss parity.Servers
	if spec == "embedded" {
		o, stop, err := servers.Open(t.Context(), "embedded", []string{"postgres", "redis", "kafka"}, nil)
		defer stop()
		if err != nil {
			t.Fatal(err)
		}
		ss = o
	} else {
		ss = parity.Servers{Engine: "x", Endpoints: map[string]parity.Endpoint{}}
		for _, f := range strings.Split(spec, ",") {
			k, v, _ := strings.Cut(f, "=")
			ss.Endpoints[k] = parity.Endpoint{URL: v, Name: k}
		}
	}
	began := time.Now()
	res, err := parity.Run(t.Context(), ss, All(), nil)
	fmt.Println("err:", err, time.Since(began))
	if f := os.Getenv("OUT"); f != "" {
		m := map[string]string{}
		for _, r := range res {
			m[r.ID] = r.Observation
			if r.Err != nil {
				m[r.ID] = "BROKEN " + r.Err.Error()
			}
			if r.Took > time.Second {
				fmt.Println("slow", r.ID, r.Took)
			}
		}
		b, _ := json.MarshalIndent(m, "", " ")
		os.WriteFile(f, b, 0o644)
	}
}
