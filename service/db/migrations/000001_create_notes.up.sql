CREATE TABLE notes (
    id         uuid           PRIMARY KEY,
    title      text           NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    body       text           NOT NULL CHECK (char_length(body) <= 20000),
    word_count integer        CHECK (word_count >= 0),
    created_at timestamptz(6) NOT NULL,
    updated_at timestamptz(6) NOT NULL
);

COMMENT ON COLUMN notes.word_count IS 'null until the worker has counted the present body';

-- The order of the listing: newest first, ties broken by id.
CREATE INDEX notes_newest_first ON notes (created_at DESC, id DESC);
