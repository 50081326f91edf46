// Command report turns the output of `go test -json` into something to read: a
// line for each package, everything that a failed test printed, every skip with
// its reason, and the counts, which it appends to a file. It fails when a test
// failed, when a package did not build, and when no test ran at all.
//
//	go test -json ./... | go run ./.ci/report NAME COUNTS-FILE
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: report NAME COUNTS-FILE")
		os.Exit(2)
	}
	passed, failed, skipped, broken := 0, 0, 0, 0
	output := map[string]*strings.Builder{}
	said := func(key string) *strings.Builder {
		if output[key] == nil {
			output[key] = &strings.Builder{}
		}
		return output[key]
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text()) // the go command's own words
			continue
		}
		key := e.Package + e.ImportPath + "\x00" + e.Test
		switch e.Action {
		case "output", "build-output":
			said(key).WriteString(e.Output)
		case "build-fail":
			broken++
			fmt.Print(said(key))
		case "pass", "fail", "skip":
			switch {
			case e.Test == "" && e.Action == "fail":
				broken++
				fmt.Printf("FAIL %-60s %6.1fs\n%s", e.Package, e.Elapsed, said(key))
			case e.Test == "" && e.Action == "pass":
				fmt.Printf("ok   %-60s %6.1fs\n", e.Package, e.Elapsed)
			case e.Test == "":
			case e.Action == "fail":
				failed++
				fmt.Printf("--- FAIL %s %s (%.1fs)\n%s", e.Package, e.Test, e.Elapsed, said(key))
			case e.Action == "skip":
				skipped++
				fmt.Printf("--- SKIP %s %s\n%s", e.Package, e.Test, said(key))
			default:
				passed++
			}
			delete(output, key)
		}
	}
	line := fmt.Sprintf("%s: %d passed, %d failed, %d skipped", os.Args[1], passed, failed, skipped)
	fmt.Println(line)
	f, err := os.OpenFile(os.Args[2], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, line)
		f.Close()
	}
	if err != nil || in.Err() != nil || failed > 0 || broken > 0 || passed == 0 {
		os.Exit(1)
	}
}
