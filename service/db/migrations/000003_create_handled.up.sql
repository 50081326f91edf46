-- Keys of what has been handled, so that a task or message that is delivered
-- again changes nothing. Entries older than any redelivery are swept.
CREATE TABLE handled (
    key        text           PRIMARY KEY,
    handled_at timestamptz(6) NOT NULL DEFAULT now()
);

CREATE INDEX handled_oldest_first ON handled (handled_at);
