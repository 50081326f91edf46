package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// A sealed segment is a row of zstd frames, each of whole lines, and a table of
// their sizes, so that one line can be read without the rest: the seekable
// format of zstd (contrib/seekable_format/zstd_seekable_compression_format.md).
// The zstd command reads it as any other file.
const (
	frameBytes     = 128 << 10
	skippableMagic = 0x184D2A5E
	seekableMagic  = 0x8F92EAB1
	tableFooter    = 9
)

// frame is where a frame stands, compressed and not.
type frame struct {
	at, size       int64
	offset, length int64
}

// frameWriter compresses lines into frames.
type frameWriter struct {
	out     io.Writer
	encoder *zstd.Encoder
	pending []byte
	packed  []byte
	table   []byte
	count   uint32
}

func newFrameWriter(out io.Writer) (*frameWriter, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("starting zstd: %w", err)
	}
	return &frameWriter{out: out, encoder: encoder}, nil
}

func (w *frameWriter) line(line []byte) error {
	if len(w.pending) > 0 && len(w.pending)+len(line) > frameBytes {
		if err := w.frame(); err != nil {
			return err
		}
	}
	w.pending = append(w.pending, line...)
	return nil
}

func (w *frameWriter) frame() error {
	w.packed = w.encoder.EncodeAll(w.pending, w.packed[:0])
	if _, err := w.out.Write(w.packed); err != nil {
		return err
	}
	w.table = binary.LittleEndian.AppendUint32(w.table, uint32(len(w.packed)))
	w.table = binary.LittleEndian.AppendUint32(w.table, uint32(len(w.pending)))
	w.count++
	w.pending = w.pending[:0]
	return nil
}

// close writes what is left and the table; it leaves the file open.
func (w *frameWriter) close() error {
	defer func() { _ = w.encoder.Close() }()
	if len(w.pending) > 0 {
		if err := w.frame(); err != nil {
			return err
		}
	}
	table := binary.LittleEndian.AppendUint32(nil, skippableMagic)
	table = binary.LittleEndian.AppendUint32(table, uint32(len(w.table)+tableFooter))
	table = append(table, w.table...)
	table = binary.LittleEndian.AppendUint32(table, w.count)
	table = append(table, 0) // no checksums here: the frames have their own
	table = binary.LittleEndian.AppendUint32(table, seekableMagic)
	_, err := w.out.Write(table)
	return err
}

var errNoTable = errors.New("no table of frames")

// readTable reads the table at the end of a sealed segment.
func readTable(f *os.File) ([]frame, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var footer [tableFooter]byte
	if info.Size() < 8+tableFooter {
		return nil, errNoTable
	}
	if _, err := f.ReadAt(footer[:], info.Size()-tableFooter); err != nil {
		return nil, err
	}
	count := int64(binary.LittleEndian.Uint32(footer[:]))
	start := info.Size() - tableFooter - 8*count - 8
	if binary.LittleEndian.Uint32(footer[5:]) != seekableMagic || footer[4] != 0 || start < 0 {
		return nil, errNoTable
	}
	table := make([]byte, 8+8*count)
	if _, err := f.ReadAt(table, start); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(table) != skippableMagic {
		return nil, errNoTable
	}
	frames := make([]frame, 0, count)
	var next frame
	for table = table[8:]; len(table) > 0; table = table[8:] {
		next.at += next.size
		next.offset += next.length
		next.size = int64(binary.LittleEndian.Uint32(table))
		next.length = int64(binary.LittleEndian.Uint32(table[4:]))
		if next.length > 2*maxLine || next.at+next.size > start {
			return nil, errNoTable
		}
		frames = append(frames, next)
	}
	return frames, nil
}
