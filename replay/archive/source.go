package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// maxSalvage bounds what is decompressed of a sealed segment whose table is
// damaged: it all has to be in memory.
const maxSalvage = 128 << 20

// source is an open segment: its lines and where they are.
type source struct {
	segment
	file    *os.File
	entries []entry // in the order of the lines
	skipped int     // lines that are no JSON
	rebuilt bool    // the index was of no use

	frames  []frame // of a sealed segment
	decoder *zstd.Decoder
	plain   []byte // of the frame that was read last
	at      int64  // the offset of plain
}

// openSource opens a segment and its index. Where the index is missing or does
// not fit, it reads all lines. It returns [fs.ErrNotExist] where the segment
// went away since it was listed.
func openSource(s segment) (*source, error) {
	path := s.live()
	if s.sealed {
		path = s.done()
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	src := &source{segment: s, file: f}
	if err := src.load(); err != nil {
		src.close()
		return nil, fmt.Errorf("reading segment %s: %w", s.name, err)
	}
	return src, nil
}

func (s *source) close() {
	_ = s.file.Close() // it was only read
	if s.decoder != nil {
		s.decoder.Close()
	}
}

func (s *source) load() error {
	if s.sealed {
		var err error
		if s.frames, err = readTable(s.file); err != nil {
			return s.scanSealed() // without the table, lines cannot be found one by one
		}
	}
	if ok, err := s.loadIndex(); ok || err != nil {
		return err
	}
	return s.rebuild()
}

// rebuild makes the index again from the lines.
func (s *source) rebuild() error {
	s.rebuilt = true
	s.entries, s.skipped = nil, 0
	if s.sealed {
		return s.scanFrames()
	}
	return s.scanLive(0)
}

// decoding starts the decoder at the first use: most look-ups need the lines of
// few segments.
func (s *source) decoding() (*zstd.Decoder, error) {
	if s.decoder == nil {
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxSalvage))
		if err != nil {
			return nil, fmt.Errorf("starting zstd: %w", err)
		}
		s.decoder = decoder
	}
	return s.decoder, nil
}

// loadIndex takes the entries from the index, and those of lines that were
// written after it from the lines. It returns false where the index does not
// fit the lines.
func (s *source) loadIndex() (bool, error) {
	data, err := os.ReadFile(s.index())
	if err != nil {
		return false, nil //nolint:nilerr // a missing index is made again
	}
	entries, covered, ok := parseIndex(data)
	if !ok {
		return false, nil
	}
	s.entries = entries
	if s.sealed {
		return covered == s.plainSize(), nil
	}
	info, err := s.file.Stat()
	if err != nil {
		return false, err
	}
	if covered > info.Size() {
		return false, nil
	}
	if covered > 0 {
		var last [1]byte
		if _, err := s.file.ReadAt(last[:], covered-1); err != nil || last[0] != '\n' {
			return false, nil
		}
	}
	return true, s.scanLive(covered)
}

func (s *source) plainSize() int64 {
	if len(s.frames) == 0 {
		return 0
	}
	last := s.frames[len(s.frames)-1]
	return last.offset + last.length
}

// scanLive reads the lines from an offset on.
func (s *source) scanLive(from int64) error {
	_, torn, err := scanLines(io.NewSectionReader(s.file, from, 1<<62), func(offset int64, line []byte) error {
		s.add(from+offset, line)
		return nil
	})
	if torn && !owned(s.file) {
		s.skipped++ // while the segment is written, the rest of the line is on its way
	}
	return err
}

// scanFrames reads all lines of a sealed segment. A frame that is damaged costs
// its own lines.
func (s *source) scanFrames() error {
	for _, f := range s.frames {
		if err := s.frame(f); err != nil {
			s.skipped++
			continue
		}
		_, torn, err := scanLines(bytes.NewReader(s.plain), func(offset int64, line []byte) error {
			s.add(f.offset+offset, line)
			return nil
		})
		if err != nil {
			return err
		}
		if torn {
			s.skipped++
		}
	}
	return nil
}

// scanSealed reads a sealed segment from front to back into memory, as far as
// it can be read.
func (s *source) scanSealed() error {
	s.rebuilt = true
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	decoder, err := s.decoding()
	if err != nil {
		return err
	}
	if err := decoder.Reset(s.file); err != nil {
		return err
	}
	plain, err := io.ReadAll(io.LimitReader(decoder, maxSalvage))
	if err != nil {
		s.skipped++
	}
	s.plain, s.at, s.frames = plain, 0, []frame{{length: int64(len(plain))}}
	_, torn, err := scanLines(bytes.NewReader(plain), func(offset int64, line []byte) error {
		s.add(offset, line)
		return nil
	})
	if torn {
		s.skipped++
	}
	return err
}

func (s *source) add(offset int64, line []byte) {
	trace, ok := lineTrace(line)
	if !ok {
		s.skipped++
		return
	}
	s.entries = append(s.entries, entry{trace: trace, offset: offset, length: len(line)})
}

var errLine = errors.New("the index does not fit the lines")

// line returns the line of an entry, without its newline. It is valid until the
// next call.
func (s *source) line(e entry) ([]byte, error) {
	if e.length <= 0 || e.length > 2*maxLine {
		return nil, errLine
	}
	var line []byte
	if s.sealed {
		if err := s.seek(e.offset); err != nil {
			return nil, err
		}
		from := e.offset - s.at
		if from+int64(e.length) > int64(len(s.plain)) {
			return nil, errLine
		}
		line = s.plain[from : from+int64(e.length)]
	} else {
		line = make([]byte, e.length)
		if _, err := s.file.ReadAt(line, e.offset); err != nil {
			return nil, fmt.Errorf("%w: %w", errLine, err)
		}
	}
	if line[len(line)-1] != '\n' {
		return nil, errLine
	}
	return line[:len(line)-1], nil
}

// seek makes plain the frame in which the offset is.
func (s *source) seek(offset int64) error {
	if s.plain != nil && offset >= s.at && offset < s.at+int64(len(s.plain)) {
		return nil
	}
	low, high := 0, len(s.frames)
	for low < high {
		middle := (low + high) / 2
		if f := s.frames[middle]; f.offset+f.length > offset {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if low == len(s.frames) {
		return errLine
	}
	return s.frame(s.frames[low])
}

// frame decompresses one frame into plain.
func (s *source) frame(f frame) error {
	packed := make([]byte, f.size)
	if _, err := s.file.ReadAt(packed, f.at); err != nil {
		return fmt.Errorf("reading a frame: %w", err)
	}
	decoder, err := s.decoding()
	if err != nil {
		return err
	}
	plain, err := decoder.DecodeAll(packed, make([]byte, 0, f.length))
	if err != nil {
		return fmt.Errorf("reading a frame: %w", err)
	}
	if int64(len(plain)) != f.length {
		return errLine
	}
	s.plain, s.at = plain, f.offset
	return nil
}
