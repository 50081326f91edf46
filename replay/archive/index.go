package archive

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"example.com/goldenpath/replay"
)

// An index is a header of 32 bytes and entries of 32 bytes, big endian:
//
//	header  magic 8 | flags 4 | 0 4 | bytes of lines, once sealed 8 | 0 4 | CRC-32C 4
//	entry   trace id 16, zero if none | offset 8 | length with newline 4 | CRC-32C 4
//
// Entries stand in the order of the lines until the segment is sealed, then in
// that of their bytes, which is by trace id. The offsets of a sealed segment
// are those of the uncompressed lines.
const (
	entrySize  = 32
	headerSize = 32
	indexMagic = "rplyidx1"
	flagSealed = 1
)

// castagnoli is made by the hardware of most machines.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// entry says where the line of an exchange is.
type entry struct {
	trace  [16]byte
	offset int64
	length int
}

func (e entry) end() int64 { return e.offset + int64(e.length) }

func appendEntry(dst []byte, e entry) []byte {
	start := len(dst)
	dst = append(dst, e.trace[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.offset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.length))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func appendIndexHeader(dst []byte, flags uint32, lines int64) []byte {
	start := len(dst)
	dst = append(dst, indexMagic...)
	dst = binary.BigEndian.AppendUint32(dst, flags)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(lines))
	dst = binary.BigEndian.AppendUint32(dst, 0)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// checked reports whether the last four bytes of a record are its checksum.
func checked(record []byte) bool {
	n := len(record) - 4
	return binary.BigEndian.Uint32(record[n:]) == crc32.Checksum(record[:n], castagnoli)
}

// parseIndex reads an index and returns its entries in the order of the lines,
// and how many bytes of lines they cover without a gap from the first. It
// returns false where the index cannot be trusted.
func parseIndex(data []byte) (entries []entry, covered int64, ok bool) {
	if len(data) < headerSize || !bytes.HasPrefix(data, []byte(indexMagic)) || !checked(data[:headerSize]) {
		return nil, 0, false
	}
	sealed := binary.BigEndian.Uint32(data[8:])&flagSealed != 0
	lines := int64(binary.BigEndian.Uint64(data[16:]))
	data = data[headerSize:]
	entries = make([]entry, 0, len(data)/entrySize)
	for ; len(data) >= entrySize; data = data[entrySize:] { // a torn entry at the end is being written
		record := data[:entrySize]
		if !checked(record) {
			return nil, 0, false
		}
		entries = append(entries, entry{
			trace:  [16]byte(record),
			offset: int64(binary.BigEndian.Uint64(record[16:])),
			length: int(binary.BigEndian.Uint32(record[24:])),
		})
	}
	if sealed {
		slices.SortFunc(entries, byOffset)
	}
	for _, e := range entries {
		if e.offset != covered || e.length <= 0 {
			return nil, 0, false
		}
		covered = e.end()
	}
	return entries, covered, !sealed || covered == lines
}

func byOffset(a, b entry) int {
	switch {
	case a.offset < b.offset:
		return -1
	case a.offset > b.offset:
		return 1
	}
	return 0
}

// sealedIndex is the index of a sealed segment with these entries.
func sealedIndex(entries []entry) []byte {
	slices.SortFunc(entries, func(a, b entry) int {
		if c := bytes.Compare(a.trace[:], b.trace[:]); c != 0 {
			return c
		}
		return byOffset(a, b)
	})
	var lines int64
	for _, e := range entries {
		lines += int64(e.length)
	}
	data := appendIndexHeader(make([]byte, 0, headerSize+len(entries)*entrySize), flagSealed, lines)
	for _, e := range entries {
		data = appendEntry(data, e)
	}
	return data
}

// traceKey is the trace id of an exchange in the index.
func traceKey(traceID string) [16]byte {
	id, _ := replay.ParseTraceID(traceID)
	return id
}
