// Package kafka has what a Go service relies on in Kafka, by way of franz-go.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"example.com/goldenpath/devtool/internal/parity"
)

// Suite returns the behaviours. To add one is to add it to a list; its topics,
// groups and transactions begin with its own name.
func Suite() parity.Suite {
	return parity.Suite{Kind: "kafka", Open: open, Behaviours: slices.Concat(topics(), records(), groups(), transactions())}
}

// open uses the broker as it is.
func open(ctx context.Context, place, run string) (string, func(context.Context) error, error) {
	b := &broker{ctx: ctx, addr: place}
	defer b.close()
	if err := b.admin().Ping(ctx); err != nil {
		return "", nil, err
	}
	return place, func(ctx context.Context) error { return forget(ctx, place, run) }, nil
}

func forget(ctx context.Context, place, run string) error {
	b := &broker{ctx: ctx, addr: place}
	defer b.close()
	admin := kadm.NewClient(b.admin())
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	for _, g := range groups.Groups() {
		if !strings.HasPrefix(g, run) {
			continue
		}
		err := parity.Until(ctx, func() (bool, error) {
			_, err := admin.DeleteGroup(ctx, g)
			if errors.Is(err, kerr.NonEmptyGroup) {
				return false, nil // a member that could not say goodbye is missed soon
			}
			return true, err
		})
		if err != nil {
			return fmt.Errorf("delete group %s: %w", g, err)
		}
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	var ours []string
	for _, t := range topics.Names() {
		if strings.HasPrefix(t, run) {
			ours = append(ours, t)
		}
	}
	if len(ours) == 0 {
		return nil
	}
	gone, err := admin.DeleteTopics(ctx, ours...)
	if err != nil {
		return err
	}
	return gone.Error()
}

// broker is a behaviour's way to the server, and what it has to say.
type broker struct {
	ctx     context.Context
	addr    string
	name    string // of the behaviour; what it makes begins with it
	clients []*kgo.Client
	first   *kgo.Client
	said    []string
	err     error // the first that is no answer of the broker's
}

// behaviour is one whose observation is what run says.
func behaviour(name, what string, run func(b *broker)) parity.Behaviour {
	return parity.Behaviour{ID: "kafka/" + name, What: what, Run: func(ctx context.Context, t parity.Target) (string, error) {
		b := &broker{ctx: ctx, addr: t.URL, name: t.Name}
		defer b.close()
		run(b)
		return strings.Join(b.said, "; "), b.err
	}}
}

func (b *broker) close() {
	for _, c := range b.clients {
		c.CloseAllowingRebalance()
	}
}

// say puts something into the observation.
func (b *broker) say(format string, args ...any) {
	b.said = append(b.said, fmt.Sprintf(format, args...))
}

// answered says whether there is an answer without an error. An error of Kafka's
// is put into the observation, any other ends it.
func (b *broker) answered(what string, err error) bool {
	var refused *kerr.Error
	switch {
	case b.err != nil:
	case err == nil:
		return true
	case errors.As(err, &refused):
		b.say("%s: %s", what, refused.Message)
	default:
		b.err = fmt.Errorf("%s: %w", what, err)
	}
	return false
}

// tell is answered for what has nothing to tell but that it went well.
func (b *broker) tell(what string, err error) {
	if b.answered(what, err) {
		b.say("%s: ok", what)
	}
}

// options make a client give up soon enough to be observed.
func (b *broker) options(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(b.addr), kgo.ClientID("parity"), kgo.DisableClientMetrics(), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.UnknownTopicRetries(0), kgo.RetryTimeout(6 * time.Second), kgo.FetchMaxWait(250 * time.Millisecond), kgo.ProducerLinger(0),
	}, more...)
}

func (b *broker) client(opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(b.options(opts...)...)
	if err != nil {
		// The options are written here: a client always comes of them.
		panic(err)
	}
	b.clients = append(b.clients, c)
	return c
}

// admin is the client for what needs no options.
func (b *broker) admin() *kgo.Client {
	if b.first == nil {
		b.first = b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return b.first
}

func (b *broker) kadm() *kadm.Client { return kadm.NewClient(b.admin()) }

// topic makes one and returns its name when every partition has a leader.
// Settings are "name=value".
func (b *broker) topic(suffix string, partitions int32, settings ...string) string {
	name := b.name + "_" + suffix
	configs := map[string]*string{}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		configs[key] = &value
	}
	if _, err := b.kadm().CreateTopic(b.ctx, partitions, 1, configs, name); !b.answered("create "+suffix, err) {
		return name
	}
	err := parity.Until(b.ctx, func() (bool, error) {
		list, err := b.kadm().ListTopics(b.ctx, name)
		if err != nil || list[name].Err != nil || len(list[name].Partitions) < int(partitions) {
			return false, err
		}
		for _, p := range list[name].Partitions {
			if p.Err != nil || p.Leader < 0 {
				return false, nil
			}
		}
		return true, nil
	})
	b.answered("wait for "+suffix, err)
	return name
}

// produce writes values to partition 0, one after the other.
func (b *broker) produce(topic string, values ...string) {
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Value: []byte(v)}
		b.answered("produce "+v, b.admin().ProduceSync(b.ctx, r).FirstErr())
	}
}

// read polls until there are n records.
func (b *broker) read(c *kgo.Client, n int) []*kgo.Record {
	var got []*kgo.Record
	for len(got) < n && b.err == nil {
		fetched := c.PollFetches(b.ctx)
		if !b.answered("read", fetched.Err()) {
			break
		}
		got = append(got, fetched.Records()...)
	}
	return got
}

// all reads n records of a topic from its start.
func (b *broker) all(topic string, n int, opts ...kgo.Opt) []*kgo.Record {
	return b.read(b.client(append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart())}, opts...)...), n)
}

func written(records []*kgo.Record) string {
	var list []string
	for _, r := range records {
		list = append(list, fmt.Sprintf("%s@%d", r.Value, r.Offset))
	}
	return strings.Join(list, " ")
}
