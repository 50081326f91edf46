package chaos

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// longest is the longest delay that a fault takes.
const longest = time.Hour

// parseDuration reads a duration as Go writes them and returns whole
// milliseconds, the unit of Toxiproxy's attributes.
func parseDuration(text string) (int64, *UsageError) {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, usage(
			quoted(text)+": a duration needs a unit",
			fmt.Sprintf("write it as in %sms or %ss", text, text))
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, usage(
			quoted(text)+" is not a duration",
			"write it as in 500ms, 2s or 1m30s")
	}
	switch {
	case d < time.Millisecond:
		return 0, usage(fmt.Sprintf("%s is too short", text), "the shortest is 1ms")
	case d > longest:
		return 0, usage(fmt.Sprintf("%s is too long", text), "the longest is 1h")
	case d%time.Millisecond != 0:
		return 0, usage(fmt.Sprintf("%s is not whole milliseconds", text), "write it as in "+d.Round(time.Millisecond).String())
	}
	return d.Milliseconds(), nil
}

// unit is a suffix of a size. KB is 1000 bytes and KiB is 1024 (IEC 80000-13).
type unit struct {
	name  string
	bytes float64
}

// units gives the suffixes, the longer before those that end them.
func units() []unit {
	return []unit{
		{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30},
		{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9},
		{"b", 1},
	}
}

// parseSize reads a number of bytes with a unit: 512B, 64KB, 1MiB.
func parseSize(text string) (int64, *UsageError) {
	lower := strings.ToLower(text)
	for _, u := range units() {
		digits, ok := strings.CutSuffix(lower, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || math.IsNaN(n) {
			break
		}
		bytes := n * u.bytes
		if bytes < 1 || bytes > 1<<40 {
			return 0, usage(fmt.Sprintf("%s is out of range", text), "a size is from 1B to 1024GiB")
		}
		return int64(bytes), nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, usage(
			quoted(text)+": a size needs a unit",
			fmt.Sprintf("write it as in %sKB or %sMiB", text, text))
	}
	return 0, usage(quoted(text)+" is not a size", "write it as in 512B, 64KB or 1MiB")
}

// parseRate reads a size for each second and returns Toxiproxy's unit, 1000
// bytes a second.
func parseRate(text string) (int64, *UsageError) {
	size, ok := strings.CutSuffix(strings.ToLower(text), "/s")
	if !ok {
		return 0, usage(quoted(text)+" is not a rate", "write it as in 64KB/s or 1MiB/s")
	}
	bytes, err := parseSize(size)
	if err != nil {
		return 0, usage(quoted(text)+" is not a rate", "write it as in 64KB/s or 1MiB/s")
	}
	if bytes < 1000 {
		return 0, usage(fmt.Sprintf("%s is too slow", text), "the slowest is 1KB/s; for silence there is the fault timeout")
	}
	return bytes / 1000, nil
}
