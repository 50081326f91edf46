package archive_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"example.com/goldenpath/replay/archive"
)

// childDir tells the test binary to be a process that writes to a directory.
const childDir = "ARCHIVE_TEST_CHILD_DIR"

// writeUntilKilled writes an exchange for each line that it reads, and prints
// its number when it is flushed.
func writeUntilKilled(dir string) {
	w, err := archive.Create(dir, archive.Options{MaxSegmentBytes: 50_000})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	orders := bufio.NewScanner(os.Stdin)
	for i := 0; orders.Scan(); i++ {
		w.Record(exchange(i))
		if err := w.Flush(context.Background()); err != nil {
			os.Exit(1)
		}
		fmt.Println(i)
	}
	os.Exit(1)
}

func TestAProcessThatIsKilled(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	orders, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill() }()
	const n = 300
	answers := bufio.NewScanner(output)
	for i := range n {
		if _, err := fmt.Fprintln(orders); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() || answers.Text() != strconv.Itoa(i) {
			t.Fatalf("the child says %q instead of %d", answers.Text(), i)
		}
		if i == 50 {
			t.Run("is read while it writes", func(t *testing.T) {
				r := open(t, dir)
				wantFound(t, r, i+1)
				if d := r.Damage(); d.Lines != 0 || d.Segments != 0 {
					t.Errorf("%+v", d)
				}
			})
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	t.Run("loses nothing that it had flushed", func(t *testing.T) {
		wantFound(t, open(t, dir), n)
	})
	t.Run("is tidied up by the next one", func(t *testing.T) {
		seal(t, dir)
		wantFound(t, open(t, dir), n)
	})
}
