// Package archive keeps captured exchanges on disk and finds them again by
// trace id.
//
// A directory holds segments. Each process appends to segments of its own,
// files of one JSON line an exchange, so that nobody waits for anybody:
//
//	20260102T150405.000000000Z-812.jsonl      the lines
//	20260102T150405.000000000Z-812.idx        where each trace is, 32 bytes a line
//	20260102T150405.000000000Z-812.jsonl.zst  the lines, once the segment is sealed
//
// A segment that is full, or whose process is gone, is sealed: compressed in
// frames that can be read on their own (the seekable format of zstd), its index
// sorted. An index is a convenience: where it is missing, torn, stale or
// corrupt, it is made again from the lines. Lines that are no JSON are skipped
// and counted. Segments go when they are too old or too many.
//
// Files have mode 0600 and the directory 0700.
package archive

import "time"

// Options adapt a [Writer]. Zero fields have the defaults that they name.
type Options struct {
	// MaxSegmentBytes is the size at which a segment is sealed; 64 MiB. It is
	// at most a quarter of MaxBytes.
	MaxSegmentBytes int64
	// MaxBytes bounds all segments of the directory; 1 GiB. The oldest go first.
	MaxBytes int64
	// MaxAge is how long a segment is kept after its last line; 7 days.
	MaxAge time.Duration
	// QueueSize and QueueBytes bound what waits to be written: 4096 exchanges
	// and 32 MiB. What does not fit is dropped and counted.
	QueueSize  int
	QueueBytes int64
	// Pace is the least time between two writes, 2 ms, so that a busy service
	// writes in batches. The first exchange after a pause is written at once.
	Pace time.Duration
	// RetryAfter is how long nothing is tried after a failed write; 1 s.
	RetryAfter time.Duration
	// MaintainEvery is how often segments are sealed and removed, beside the
	// start and whenever a segment is full; 10 minutes.
	MaintainEvery time.Duration
	// Now is time.Now if nil.
	Now func() time.Time

	// create opens a segment's file; tests fill the disk with it.
	create func(path string) (file, error)
}

func (o Options) withDefaults() Options {
	positive(&o.MaxBytes, 1<<30)
	positive(&o.MaxSegmentBytes, 64<<20)
	o.MaxSegmentBytes = min(o.MaxSegmentBytes, max(1, o.MaxBytes/4))
	positive(&o.MaxAge, 7*24*time.Hour)
	positive(&o.QueueSize, 4096)
	positive(&o.QueueBytes, 32<<20)
	positive(&o.Pace, 2*time.Millisecond)
	positive(&o.RetryAfter, time.Second)
	positive(&o.MaintainEvery, 10*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.create == nil {
		o.create = createFile
	}
	return o
}

func positive[T int | int64 | time.Duration](v *T, standard T) {
	if *v <= 0 {
		*v = standard
	}
}

// Stats says what became of the exchanges that a [Writer] was given.
type Stats struct {
	Written int64 // on disk
	Dropped int64 // the queue was full, or the writer closed
	Lost    int64 // a write failed
	Bytes   int64 // written, uncompressed
	// LastError is why exchanges were lost, or a segment could not be sealed,
	// the last time that it happened; nil if never. It stays after recovery.
	LastError error
}
