package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// seal compresses a segment that nobody writes any more and sorts its index.
// It does nothing where a process still has it. Lines that are no JSON are left
// out. Whatever moment it is cut off at, the lines are there and readable.
func seal(ctx context.Context, s segment) (err error) {
	source, err := os.Open(s.live())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // lets go of the lock as well
	if !tryOwn(source) {
		return nil
	}
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(s.live()); err != nil || !os.SameFile(info, there) {
		return nil // another process sealed it in the meantime
	}

	var entries []entry
	err = replaceFile(s.done(), func(f *os.File) error {
		entries, err = pack(ctx, source, f, s.indexed(info.Size()))
		return err
	})
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return s.remove()
	}
	// Age counts from the last line, not from the sealing.
	if err := os.Chtimes(s.done(), info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	err = replaceFile(s.index(), func(f *os.File) error {
		_, err := f.Write(sealedIndex(entries))
		return err
	})
	if err != nil {
		return err
	}
	return os.Remove(s.live())
}

// indexed returns the traces of the lines by their offset, where the index
// covers all size bytes of them; they need not be looked at again then.
func (s segment) indexed(size int64) map[int64][16]byte {
	data, err := os.ReadFile(s.index())
	if err != nil {
		return nil
	}
	entries, covered, ok := parseIndex(data)
	if !ok || covered != size {
		return nil
	}
	traces := make(map[int64][16]byte, len(entries))
	for _, e := range entries {
		traces[e.offset] = e.trace
	}
	return traces
}

// pack compresses the lines of source into f and returns where they are. It
// parses those of which it is not told the trace.
func pack(ctx context.Context, source, f *os.File, traces map[int64][16]byte) ([]entry, error) {
	w, err := newFrameWriter(f)
	if err != nil {
		return nil, err
	}
	var entries []entry
	var offset int64
	_, _, err = scanLines(source, func(at int64, line []byte) error {
		trace, ok := traces[at]
		if !ok {
			trace, ok = lineTrace(line)
		}
		if !ok || line == nil {
			return nil
		}
		entries = append(entries, entry{trace: trace, offset: offset, length: len(line)})
		offset += int64(len(line))
		if err := ctx.Err(); err != nil {
			return err
		}
		return w.line(line)
	})
	return entries, errors.Join(err, w.close())
}

// replaceFile writes a file beside path and puts it in its place when it is
// whole and on disk.
func replaceFile(path string, write func(*os.File) error) error {
	temp := path + tempSuffix
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(temp))
	}
	return nil
}
