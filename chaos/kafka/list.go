package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// listVersion is the version of metadata that List asks for: brokers from 2.1 on have
// it, 4.x included (KIP-896), and it has not the flexible encoding yet.
const listVersion = 7

// List asks a broker for the addresses of all brokers of its cluster, as they
// advertise themselves. The connection must be new; it is the caller's to bound
// in time and to close.
func List(c io.ReadWriter) ([]string, error) {
	question := binary.BigEndian.AppendUint32(nil, 15)
	question = binary.BigEndian.AppendUint16(question, metadata)
	question = binary.BigEndian.AppendUint16(question, listVersion)
	question = binary.BigEndian.AppendUint32(question, 0)      // correlation id
	question = binary.BigEndian.AppendUint16(question, 0xffff) // no client id
	question = binary.BigEndian.AppendUint32(question, 0)      // no topics
	question = append(question, 0)                             // make none
	if _, err := c.Write(question); err != nil {
		return nil, fmt.Errorf("list kafka brokers: %w", err)
	}
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, fmt.Errorf("list kafka brokers: %w", err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > longestRewrite {
		return nil, fmt.Errorf("list kafka brokers: %w", ErrTooLarge)
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(c, answer); err != nil {
		return nil, fmt.Errorf("list kafka brokers: %w", err)
	}
	r := &reader{b: answer, at: responseHeader - 4}
	places := find(r, request{key: metadata, version: listVersion})
	if r.short || len(places) == 0 {
		return nil, errors.New("list kafka brokers: the answer is not one to metadata")
	}
	var addresses []string
	for _, p := range places {
		addresses = append(addresses, p.address())
	}
	return addresses, nil
}
