package archive_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"example.com/goldenpath/replay/archive"
)

// childDir tells the test binary to be a process that writes to a directory.
const childDir = "ARCHIVE_TEST_CHILD_DIR"

// writeUntilKilled writes exchanges and prints the number of each that is
// flushed.
func writeUntilKilled(dir string) {
	w, err := archive.Create(dir, archive.Options{MaxSegmentBytes: 50_000})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		w.Record(exchange(i))
		if err := w.Flush(context.Background()); err != nil {
			os.Exit(1)
		}
		fmt.Println(i)
	}
}

func TestAProcessThatIsKilled(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill() }()
	flushed := -1
	for lines := bufio.NewScanner(output); lines.Scan(); {
		number := strings.TrimSpace(lines.Text())
		if flushed, err = strconv.Atoi(number); err != nil {
			t.Fatalf("the child says %q", number)
		}
		if flushed == 50 {
			t.Run("is read while it writes", func(t *testing.T) {
				r := open(t, dir)
				wantFound(t, r, 51)
				if d := r.Damage(); d.Lines != 0 || d.Segments != 0 {
					t.Errorf("%+v", d)
				}
			})
		}
		if flushed == 500 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	if flushed < 500 {
		t.Fatalf("the child ended after %d", flushed)
	}
	t.Run("loses nothing that it had flushed", func(t *testing.T) {
		wantFound(t, open(t, dir), flushed+1)
	})
	t.Run("is tidied up by the next one", func(t *testing.T) {
		seal(t, dir)
		wantFound(t, open(t, dir), flushed+1)
	})
}
