package gateway

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReplayBody(t *testing.T) {
	attempt := func(t *testing.T, b *replayBody) io.ReadCloser {
		t.Helper()
		a, err := b.open()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	readAll := func(t *testing.T, r io.Reader, want string) {
		t.Helper()
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Fatalf("got %d bytes (%v), want %d", len(got), err, len(want))
		}
	}

	t.Run("a second attempt reads it from the beginning", func(t *testing.T) {
		b := &replayBody{src: iotest.OneByteReader(strings.NewReader("a body of some length"))}
		first := attempt(t, b)
		if _, err := io.ReadFull(first, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, errBodyClosed) {
			t.Fatalf("the first still reads: %v", err)
		}
		readAll(t, attempt(t, b), "a body of some length")
		readAll(t, attempt(t, b), "a body of some length")
	})

	t.Run("what an attempt was waiting for when it was closed is not lost", func(t *testing.T) {
		sent, client := io.Pipe()
		b := &replayBody{src: sent}
		first := attempt(t, b)
		read := make(chan error, 1)
		go func() {
			_, err := first.Read(make([]byte, 4))
			read <- err
		}()
		go func() {
			_, _ = io.WriteString(client, "body")
			client.Close()
		}()
		first.Close()
		// It got the bytes, or it saw that it was closed; either way they are there.
		if err := receive(t, "read", read); err != nil && !errors.Is(err, errBodyClosed) {
			t.Fatal(err)
		}
		readAll(t, attempt(t, b), "body")
	})

	t.Run("one that is larger than what is kept cannot be read again, nor one that was answered", func(t *testing.T) {
		large := &replayBody{src: strings.NewReader(strings.Repeat("x", keepLimit+1))}
		readAll(t, attempt(t, large), strings.Repeat("x", keepLimit+1))
		answered := &replayBody{src: strings.NewReader("x")}
		answered.settled.Store(true)
		readAll(t, attempt(t, answered), "x")
		for _, b := range []*replayBody{large, answered} {
			if _, err := b.open(); !errors.Is(err, errBodyGone) || !b.gone() || len(b.kept) != 0 {
				t.Fatalf("open: %v, kept %d", err, len(b.kept))
			}
		}
	})

	t.Run("one of just what is kept can", func(t *testing.T) {
		b := &replayBody{src: strings.NewReader(strings.Repeat("x", keepLimit))}
		readAll(t, attempt(t, b), strings.Repeat("x", keepLimit))
		readAll(t, attempt(t, b), strings.Repeat("x", keepLimit))
	})

	t.Run("the client's error is kept", func(t *testing.T) {
		b := &replayBody{src: iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("xy")))}
		if _, err := io.ReadAll(attempt(t, b)); !errors.Is(err, iotest.ErrTimeout) {
			t.Fatalf("read: %v", err)
		}
		if err := b.broken(); !errors.Is(err, iotest.ErrTimeout) {
			t.Fatalf("broken: %v", err)
		}
	})
}
