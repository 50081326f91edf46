-- Events that wait to be published. A row is written in the transaction of the
-- change that it tells of, and deleted once Kafka has acknowledged it. Published rows are not kept: from then on Kafka has the
-- event, for as long as the topic's retention says. So the table holds the
-- backlog and nothing else: its size is the metric, every index on it stays
-- small, and no clean-up job is needed.
CREATE TABLE outbox (
    seq         bigint         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid           NOT NULL UNIQUE,
    type        text           NOT NULL,
    note_id     uuid           NOT NULL,
    occurred_at timestamptz(6) NOT NULL,
    -- W3C Trace Context of the request that made the event; empty when there is none.
    traceparent text           NOT NULL DEFAULT '',
    tracestate  text           NOT NULL DEFAULT ''
);

-- No foreign key to notes: the event of a deletion outlives its note.
COMMENT ON COLUMN outbox.note_id IS 'the note that the event is about; it may be gone';
