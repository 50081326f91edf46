package proxy_test

import (
	"encoding/binary"
	"io"
	"net"
)

// produceFrame is a produce request with n bytes behind its header.
func produceFrame(n int) []byte {
	frame := make([]byte, 12+n)
	binary.BigEndian.PutUint32(frame, uint32(8+n))
	binary.BigEndian.PutUint16(frame[6:], 9)
	return frame
}

// kafkaEcho answers each request with as many bytes as are behind its header.
func kafkaEcho(c *net.TCPConn) {
	frame := make([]byte, 4096)
	for {
		if _, err := io.ReadFull(c, frame[:4]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(frame)
		if _, err := io.ReadFull(c, frame[4:4+n]); err != nil {
			return
		}
		answer := append(binary.BigEndian.AppendUint32(nil, n-8), frame[8:12]...)
		if _, err := c.Write(append(answer, frame[16:4+n]...)); err != nil {
			return
		}
	}
}
