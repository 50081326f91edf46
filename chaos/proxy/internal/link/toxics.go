package link

import (
	"math/rand/v2"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// These toxics stand in for Toxiproxy's where those draw from the random source
// of the process (latency with jitter, slicer), write JSON to standard error
// (bandwidth) or leave goroutines behind (limit_data). The attributes are the
// same, and a seed, for Toxiproxy makes a toxic from JSON alone.
const (
	seededLatency  = "goldenpath_latency"
	quietBandwidth = "goldenpath_bandwidth"
	drainingLimit  = "goldenpath_limit_data"
	seededSlicer   = "goldenpath_slicer"
)

// register makes our toxics known to Toxiproxy, whose registry is the only way
// in.
func register() {
	toxics.Register(seededLatency, new(latencyToxic))
	toxics.Register(quietBandwidth, new(bandwidthToxic))
	toxics.Register(drainingLimit, new(limitToxic))
	toxics.Register(seededSlicer, new(slicerToxic))
}

// ours maps a type of Toxiproxy's to the one that stands in for it.
func ours(typ string, seeded bool) string {
	switch {
	case typ == "bandwidth":
		return quietBandwidth
	case typ == "limit_data":
		return drainingLimit
	case typ == "latency" && seeded:
		return seededLatency
	case typ == "slicer" && seeded:
		return seededSlicer
	}
	return typ
}

// latencyToxic delays each chunk by Latency ± Jitter, evenly spread.
type latencyToxic struct {
	Latency int64  `json:"latency"` // milliseconds
	Jitter  int64  `json:"jitter"`  // milliseconds
	Seed    uint64 `json:"seed"`
}

// GetBufferSize is Toxiproxy's: what may be under way at once.
func (t *latencyToxic) GetBufferSize() int { return 1024 }

// NewState makes the random source, one for each connection.
func (t *latencyToxic) NewState() any { return rand.New(rand.NewPCG(t.Seed, 1)) }

func (t *latencyToxic) Pipe(stub *toxics.ToxicStub) {
	random := stub.State.(*rand.Rand)
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			// In microseconds, so that a jitter of 1 ms has more than two values.
			delay := time.Duration(t.Latency) * time.Millisecond
			if t.Jitter > 0 {
				delay += time.Duration(random.Int64N(2*t.Jitter*1000+1)-t.Jitter*1000) * time.Microsecond
			}
			select {
			case <-time.After(delay - time.Since(c.Timestamp)):
				c.Timestamp = c.Timestamp.Add(delay)
				stub.Output <- c
			case <-stub.Interrupt:
				stub.Output <- c
				return
			}
		}
	}
}

// bandwidthToxic lets Rate times 1000 bytes a second through.
type bandwidthToxic struct {
	Rate int64 `json:"rate"`
}

// tick is how often a chunk that takes longer is let through in part.
const tick = 100 * time.Millisecond

func (t *bandwidthToxic) Pipe(stub *toxics.ToxicStub) {
	slice := t.Rate * tick.Milliseconds()
	free := time.Now() // when the line is free again
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			if now := time.Now(); free.Before(now) {
				free = now
			}
			for len(c.Data) > 0 {
				n := min(slice, int64(len(c.Data)))
				free = free.Add(time.Duration(n) * time.Millisecond / time.Duration(t.Rate))
				select {
				case <-time.After(time.Until(free)):
					stub.Output <- &stream.StreamChunk{Data: c.Data[:n], Timestamp: c.Timestamp}
					c.Data = c.Data[n:]
				case <-stub.Interrupt:
					stub.Output <- c
					return
				}
			}
		}
	}
}

// limitToxic ends the stream behind the first Bytes bytes.
type limitToxic struct {
	Bytes int64 `json:"bytes"`
}

// NewState counts the bytes of one connection.
func (t *limitToxic) NewState() any { return new(int64) }

func (t *limitToxic) Pipe(stub *toxics.ToxicStub) {
	passed := stub.State.(*int64)
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			if left := t.Bytes - *passed; int64(len(c.Data)) > left {
				c.Data = c.Data[:max(left, 0)]
			}
			*passed += int64(len(c.Data))
			if len(c.Data) > 0 {
				stub.Output <- c
			}
			if *passed < t.Bytes {
				continue
			}
			stub.Close()
			// Whoever comes before would wait for ever with its chunk in hand.
			// The pipe ends its source when it sees the end of the stream.
			for c := range stub.Input {
				_ = c
			}
			return
		}
	}
}

// slicerToxic cuts a chunk into pieces of AverageSize ± SizeVariation bytes,
// with Delay behind each.
type slicerToxic struct {
	AverageSize   int    `json:"average_size"`   // at least 1
	SizeVariation int    `json:"size_variation"` // below AverageSize
	Delay         int    `json:"delay"`          // microseconds
	Seed          uint64 `json:"seed"`
}

// NewState makes the random source, one for each connection.
func (t *slicerToxic) NewState() any { return rand.New(rand.NewPCG(t.Seed, 2)) }

func (t *slicerToxic) Pipe(stub *toxics.ToxicStub) {
	random := stub.State.(*rand.Rand)
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			for len(c.Data) > 0 {
				n := t.AverageSize - t.SizeVariation + random.IntN(2*t.SizeVariation+1)
				n = min(n, len(c.Data))
				stub.Output <- &stream.StreamChunk{Data: c.Data[:n], Timestamp: c.Timestamp}
				c.Data = c.Data[n:]
				if len(c.Data) == 0 {
					break
				}
				select {
				case <-time.After(time.Duration(t.Delay) * time.Microsecond):
				case <-stub.Interrupt:
					stub.Output <- c
					return
				}
			}
		}
	}
}
