package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"example.com/goldenpath/replay"
)

// file is what a segment is written to. Writes append.
type file interface {
	io.WriteCloser
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

// createFile creates a file that did not exist, and takes its lock. It returns
// [fs.ErrExist] where another process found the file empty and without an owner
// in between, and cleaned it up.
func createFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, fileMode)
	if err != nil {
		return nil, err
	}
	if err := own(f); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	mine, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if there, err := os.Stat(path); err != nil || !os.SameFile(mine, there) {
		return nil, errors.Join(fs.ErrExist, f.Close())
	}
	return f, nil
}

// output is the segment that a writer appends to. It is used by one goroutine.
type output struct {
	dir     string
	options Options

	name    string
	lines   file // nil while there is no segment
	index   file // nil where it failed; the segment goes on without
	size    int64
	checked time.Time // when the file was last seen to be in its place
	retryAt time.Time // after a failed write
}

// paused reports whether a write failed so lately that none is to be tried. A
// clock that was set back ends the pause.
func (o *output) paused() bool {
	wait := o.retryAt.Sub(o.options.Now())
	return wait > 0 && wait <= o.options.RetryAfter
}

// write appends whole lines and their entries, whose offsets are relative to
// the first. Either all lines are in the segment afterwards, or none and an
// error, which starts a pause.
func (o *output) write(lines []byte, entries []entry) (err error) {
	defer func() {
		if err != nil {
			o.retryAt = o.options.Now().Add(o.options.RetryAfter)
		}
	}()
	if err := o.ready(); err != nil {
		return err
	}
	n, err := o.lines.Write(lines)
	if err != nil {
		err = fmt.Errorf("writing %d bytes to %s: %w", len(lines), o.name, err)
		if n > 0 {
			// Half a line would glue itself to the next one.
			if undo := o.lines.Truncate(o.size); undo != nil {
				err = errors.Join(err, undo, o.close())
			}
		}
		return err
	}
	start := o.size
	o.size += int64(len(lines))
	o.writeIndex(entries, start)
	return nil
}

// writeIndex appends the entries. A failure is no loss, for a reader scans the
// lines that the index does not cover; but then nothing may follow, because an
// index has no gaps.
func (o *output) writeIndex(entries []entry, start int64) {
	if o.index == nil {
		return
	}
	data := make([]byte, 0, len(entries)*entrySize)
	for _, e := range entries {
		e.offset += start
		data = appendEntry(data, e)
	}
	if _, err := o.index.Write(data); err != nil {
		_ = o.index.Close()
		o.index = nil
	}
}

// ready makes sure that there is a segment, and that nobody has taken its file
// away from under it.
func (o *output) ready() error {
	now := o.options.Now()
	if o.lines != nil {
		if since := now.Sub(o.checked); since >= 0 && since < time.Second {
			return nil
		}
		o.checked = now
		mine, err := o.lines.Stat()
		if err != nil {
			return errors.Join(fmt.Errorf("looking at %s: %w", o.name, err), o.close())
		}
		if there, err := os.Stat(filepath.Join(o.dir, o.name+liveSuffix)); err == nil && os.SameFile(mine, there) {
			return nil
		}
		if err := o.close(); err != nil {
			return err
		}
	}
	return o.create(now)
}

func (o *output) create(now time.Time) error {
	if err := os.MkdirAll(o.dir, dirMode); err != nil {
		return fmt.Errorf("creating the capture directory: %w", err)
	}
	for again := 0; ; again++ {
		name := nameAt(now, os.Getpid(), again)
		lines, err := o.options.create(filepath.Join(o.dir, name+liveSuffix))
		if errors.Is(err, fs.ErrExist) && again < 1000 {
			continue
		}
		if err != nil {
			return fmt.Errorf("creating segment %s: %w", name, err)
		}
		o.name, o.lines, o.size, o.checked = name, lines, 0, now
		break
	}
	index, err := o.options.create(filepath.Join(o.dir, o.name+indexSuffix))
	if err != nil {
		return nil // the segment can be read without
	}
	if _, err := index.Write(appendIndexHeader(nil, 0, 0)); err != nil {
		_ = index.Close()
		return nil
	}
	o.index = index
	return nil
}

// close ends the segment; the next write starts another.
func (o *output) close() error {
	var err error
	if o.lines != nil {
		err = o.lines.Close()
	}
	if o.index != nil {
		err = errors.Join(err, o.index.Close())
	}
	o.lines, o.index, o.name, o.size = nil, nil, "", 0
	if err != nil {
		return fmt.Errorf("closing a segment: %w", err)
	}
	return nil
}

// full reports whether the segment is to be sealed.
func (o *output) full() bool { return o.size >= o.options.MaxSegmentBytes }

// batch collects the lines of one write.
type batch struct {
	lines   []byte
	entries []entry
}

func (b *batch) add(ex *replay.Exchange) {
	start := len(b.lines)
	b.lines = append(ex.AppendJSON(b.lines), '\n')
	b.entries = append(b.entries, entry{
		trace:  traceKey(ex.TraceID),
		offset: int64(start),
		length: len(b.lines) - start,
	})
}

func (b *batch) reset() {
	const keep = 4 << 20
	if cap(b.lines) > keep {
		b.lines = nil
	}
	b.lines, b.entries = b.lines[:0], b.entries[:0]
}
