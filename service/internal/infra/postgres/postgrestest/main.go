package postgrestest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main is the whole of a TestMain: it starts a server, gives it to use, runs the
// tests, stops the server, and sees that no goroutine is left. It returns the
// exit code.
func Main(m *testing.M, use func(*Server)) int {
	s, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	use(s)
	code := m.Run()
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}
