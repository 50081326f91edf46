package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"example.com/goldenpath/devtool/internal/parity"
)

// tasks are asynq's queues as a service uses them.
func tasks() []parity.Behaviour {
	return []parity.Behaviour{
		queue("asynq-enqueue", "tasks put in a queue", func(q *workshop) (string, error) {
			_, once := q.Enqueue(task("a"), asynq.TaskID(q.name), asynq.Queue(q.name))
			_, twice := q.Enqueue(task("a"), asynq.TaskID(q.name), asynq.Queue(q.name))
			_, unique := q.Enqueue(task("b"), asynq.Unique(time.Minute), asynq.Queue(q.name))
			_, again := q.Enqueue(task("b"), asynq.Unique(time.Minute), asynq.Queue(q.name))
			_, later := q.Enqueue(task("c"), asynq.ProcessIn(time.Hour), asynq.Queue(q.name))
			_, grouped := q.Enqueue(task("d"), asynq.Group("g"), asynq.Queue(q.name))
			if err := errors.Join(once, unique, later, grouped); err != nil {
				return "", err
			}
			info, err := q.GetQueueInfo(q.name)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("same id: %v; same task: %v; pending %d, scheduled %d, aggregating %d, size %d",
				errors.Is(twice, asynq.ErrTaskIDConflict), errors.Is(again, asynq.ErrDuplicateTask), info.Pending, info.Scheduled, info.Aggregating, info.Size), nil
		}),
		queue("asynq-process", "tasks that succeed, fail and are kept", func(q *workshop) (string, error) {
			for _, name := range []string{"fine", "flaky", "bad"} {
				if _, err := q.Enqueue(task(name), asynq.Queue(q.name), asynq.MaxRetry(1), asynq.Retention(time.Hour)); err != nil {
					return "", err
				}
			}
			done, err := q.work(func(name string, n int) error {
				if name == "bad" || name == "flaky" && n == 1 {
					return errors.New("no")
				}
				return nil
			}, func(i *asynq.QueueInfo) bool { return i.Completed == 2 && i.Archived == 1 })
			return fmt.Sprintf("fine %d, flaky %d, bad %d", done["fine"], done["flaky"], done["bad"]), err
		}),
		queue("asynq-scheduled", "a task whose time comes", func(q *workshop) (string, error) {
			if _, err := q.Enqueue(task("later"), asynq.Queue(q.name), asynq.ProcessIn(2*time.Second), asynq.Retention(time.Hour)); err != nil {
				return "", err
			}
			began := time.Now()
			done, err := q.work(func(string, int) error { return nil }, func(i *asynq.QueueInfo) bool { return i.Completed == 1 })
			early := time.Since(began) < 900*time.Millisecond // asynq counts in whole seconds
			return fmt.Sprintf("later %d, too early: %v", done["later"], early), err
		}),
		queue("asynq-inspect", "tasks run, archived and deleted by hand", func(q *workshop) (string, error) {
			_, err := q.Enqueue(task("a"), asynq.TaskID("one"), asynq.ProcessIn(time.Hour), asynq.Queue(q.name))
			if err != nil {
				return "", err
			}
			var said string
			for _, step := range []struct {
				name string
				do   func() error
			}{
				{"run", func() error { return q.RunTask(q.name, "one") }},
				{"run again", func() error { return q.RunTask(q.name, "one") }},
				{"archive", func() error { return q.ArchiveTask(q.name, "one") }},
				{"pause", func() error { return q.PauseQueue(q.name) }},
				{"pause again", func() error { return q.PauseQueue(q.name) }},
				{"delete full queue", func() error { return q.DeleteQueue(q.name, false) }},
				{"delete", func() error { return q.DeleteTask(q.name, "one") }},
				{"delete again", func() error { return q.DeleteTask(q.name, "one") }},
			} {
				said += fmt.Sprintf("%s: %v; ", step.name, step.do())
			}
			info, err := q.GetQueueInfo(q.name)
			if err != nil {
				return "", err
			}
			return said + fmt.Sprintf("size %d, paused %v", info.Size, info.Paused), nil
		}),
	}
}

func task(name string) *asynq.Task { return asynq.NewTask(name, nil) }

// workshop is a queue of a behaviour's own.
type workshop struct {
	*asynq.Client
	*asynq.Inspector
	at   asynq.RedisClientOpt
	name string
	ctx  context.Context
}

// Close is of both.
func (q *workshop) Close() error { return errors.Join(q.Client.Close(), q.Inspector.Close()) }

func queue(name, what string, run func(*workshop) (string, error)) parity.Behaviour {
	return parity.Behaviour{ID: "redis/" + name, What: what, Run: func(ctx context.Context, t parity.Target) (string, error) {
		at := asynq.RedisClientOpt{Addr: t.URL}
		q := &workshop{Client: asynq.NewClient(at), Inspector: asynq.NewInspector(at), at: at, name: t.Name, ctx: ctx}
		defer q.Close()
		said, err := run(q)
		if gone := q.DeleteQueue(q.name, true); gone != nil && !errors.Is(gone, asynq.ErrQueueNotFound) {
			err = errors.Join(err, gone)
		}
		return said, err
	}}
}

// work runs a server until the queue is as enough says, and counts how often
// each task came.
func (q *workshop) work(handle func(name string, n int) error, enough func(*asynq.QueueInfo) bool) (map[string]int, error) {
	var mu sync.Mutex
	done := map[string]int{}
	server := asynq.NewServer(q.at, asynq.Config{
		Concurrency: 1, Queues: map[string]int{q.name: 1}, LogLevel: asynq.FatalLevel, BaseContext: func() context.Context { return q.ctx },
		TaskCheckInterval: 50 * time.Millisecond, DelayedTaskCheckInterval: 50 * time.Millisecond, ShutdownTimeout: time.Second,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 0 },
	})
	err := server.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		mu.Lock()
		done[t.Type()]++
		n := done[t.Type()]
		mu.Unlock()
		return handle(t.Type(), n)
	}))
	if err != nil {
		return nil, err
	}
	err = parity.Until(q.ctx, func() (bool, error) {
		info, err := q.GetQueueInfo(q.name)
		return err == nil && enough(info), err
	})
	server.Shutdown()
	return done, err
}
