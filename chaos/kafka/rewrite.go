package kafka

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
)

// The keys of the requests that we know, by their names in the protocol.
const (
	produce         = 0
	fetch           = 1
	metadata        = 3
	findCoordinator = 10
	apiVersions     = 18
	describeCluster = 60
)

// rewritten reports whether the answers to requests with this key are.
func rewritten(key int16) bool {
	switch key {
	case metadata, findCoordinator, apiVersions, describeCluster:
		return true
	}
	return false
}

// newest is the newest version of a request that a client is let know of. Of
// those that are rewritten it is the last whose layout is known here. Up to
// these, produce and fetch name their topics, where the later ones have ids,
// and an error has no addresses of brokers with it (KIP-516, KIP-951).
func newest(key int16) (int16, bool) {
	switch key {
	case produce:
		return 9, true
	case fetch:
		return 12, true
	case metadata:
		return 13, true
	case findCoordinator:
		return 6, true
	case describeCluster:
		return 2, true
	}
	return 0, false
}

// flexible reports whether a version of a response has the flexible encoding.
func flexible(r request) bool {
	switch r.key {
	case metadata:
		return r.version >= 9
	case findCoordinator, apiVersions:
		return r.version >= 3
	}
	return true
}

// place is where a broker's host and port stand in a frame.
type place struct {
	from, to int
	host     string
	port     int32
}

// rewrite returns the frame with the addresses that clients are to use. A frame
// that cannot be read is returned as it is. An error is of the directory.
func (s *Session) rewrite(frame []byte, asked request) ([]byte, error) {
	r := &reader{b: frame, at: responseHeader, flexible: flexible(asked)}
	if asked.key == apiVersions {
		// Its header has no tagged fields in any version, for the client does
		// not know yet what the broker understands (KIP-511).
		limit(r)
		return frame, nil
	}
	if known, _ := newest(asked.key); asked.version < 0 || asked.version > known {
		return frame, nil
	}
	r.tags()
	places := find(r, asked)
	if r.short {
		return frame, nil
	}
	if asked.key == metadata {
		var addresses []string
		for _, p := range places {
			addresses = append(addresses, p.address())
		}
		s.directory.Brokers(addresses)
	}
	return s.move(r, places)
}

// find gives the places of the brokers' addresses. What is behind the last of
// them is not looked at.
func find(r *reader, asked request) []place {
	switch asked.key {
	case findCoordinator:
		return coordinators(r, asked.version)
	case describeCluster:
		r.int32() // throttle time
		r.int16() // error code
		r.text()  // error message
		if asked.version >= 1 {
			r.next(1) // endpoint type
		}
		r.text()  // cluster id
		r.int32() // controller id
		return nodes(r, func() {
			r.text() // rack
			if asked.version >= 2 {
				r.next(1) // is fenced
			}
		})
	}
	if asked.version >= 3 {
		r.int32() // throttle time
	}
	return nodes(r, func() {
		if asked.version >= 1 {
			r.text() // rack
		}
	})
}

// nodes reads an array of brokers. rest reads what is behind the address.
func nodes(r *reader, rest func()) []place {
	var places []place
	for n := r.length(); n > 0 && !r.short; n-- {
		r.int32() // node id
		places = append(places, here(r))
		rest()
		r.tags()
	}
	return places
}

// coordinators reads one coordinator, or from version 4 on an array of them.
func coordinators(r *reader, version int16) []place {
	if version >= 1 {
		r.int32() // throttle time
	}
	if version < 4 {
		r.int16() // error code
		if version >= 1 {
			r.text() // error message
		}
		r.int32() // node id
		return []place{here(r)}
	}
	var places []place
	for n := r.length(); n > 0 && !r.short; n-- {
		r.text()  // key
		r.int32() // node id
		places = append(places, here(r))
		r.int16() // error code
		r.text()  // error message
		r.tags()
	}
	return places
}

// here reads a host and a port.
func here(r *reader) place {
	p := place{from: r.at}
	p.host = r.text()
	p.port = r.int32()
	p.to = r.at
	return p
}

func (p place) address() string {
	return net.JoinHostPort(p.host, strconv.Itoa(int(p.port)))
}

// move puts the proxy's addresses in the places. No host stands for a broker
// that is not known, and is left.
func (s *Session) move(r *reader, places []place) ([]byte, error) {
	out := make([]byte, 0, len(r.b)+16*len(places))
	copied := 0
	for _, p := range places {
		if p.host == "" {
			continue
		}
		local, err := s.directory.Local(p.address())
		if err != nil {
			return nil, fmt.Errorf("rewrite kafka response: %w", err)
		}
		host, port, err := net.SplitHostPort(local)
		if err != nil {
			return nil, fmt.Errorf("rewrite kafka response: %w", err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("rewrite kafka response: %w", err)
		}
		out = append(out, r.b[copied:p.from]...)
		out = r.appendText(out, host)
		out = binary.BigEndian.AppendUint32(out, uint32(n))
		copied = p.to
	}
	out = append(out, r.b[copied:]...)
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out, nil
}

// limit lowers, in place, the newest versions that a broker says it takes. A
// broker that answers that it does not know the version of the question does so
// in version 0 of the answer; nothing is lowered then, and the client asks
// again.
func limit(r *reader) {
	if code := r.int16(); code != 0 {
		return
	}
	lower := make(map[int]int16) // where a version stands, and what it is to be
	for n := r.length(); n > 0 && !r.short; n-- {
		key, oldest := r.int16(), r.int16()
		at := r.at
		latest := r.int16()
		r.tags()
		if most, ok := newest(key); ok && latest > most && oldest <= most {
			lower[at] = most
		}
	}
	if r.short {
		return
	}
	for at, most := range lower {
		binary.BigEndian.PutUint16(r.b[at:], uint16(most))
	}
}
