-- One table per record type of storage/records.py; column names are field names, plus `seq`, the number of the
-- journal entry that brought the row. Rows are only ever added. No foreign keys and no indexes: that a record is
-- there once is the single writer's work (storage/known_ids.py).

CREATE TABLE store_state (
    last_seq BIGINT NOT NULL,      -- newest journal entry in this database
    probe BIGINT NOT NULL          -- what the health check writes and reads
);
INSERT INTO store_state VALUES (0, 0);

CREATE TABLE prompt (
    prompt_id VARCHAR NOT NULL CHECK (prompt_id <> ''),
    text VARCHAR NOT NULL CHECK (text <> ''),
    categories VARCHAR[] NOT NULL,
    tags JSON NOT NULL,
    source VARCHAR NOT NULL,
    split VARCHAR NOT NULL CHECK (split IN ('train', 'eval')),
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE generator (
    generator_id VARCHAR NOT NULL CHECK (generator_id <> ''),
    name VARCHAR NOT NULL CHECK (name <> ''),
    family VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    adapter VARCHAR,
    parent_id VARCHAR,
    category VARCHAR,
    round INTEGER NOT NULL CHECK (round >= 0),
    aliases VARCHAR[] NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE video (
    video_id VARCHAR NOT NULL CHECK (video_id <> ''),
    prompt_id VARCHAR NOT NULL,
    generator_id VARCHAR NOT NULL,
    seed BIGINT,
    settings JSON NOT NULL,
    source_key VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE media (
    media_id VARCHAR NOT NULL CHECK (length(media_id) = 64),
    original_name VARCHAR NOT NULL CHECK (original_name NOT LIKE '%/%'),
    width_px INTEGER NOT NULL CHECK (width_px > 0),
    height_px INTEGER NOT NULL CHECK (height_px > 0),
    num_frames INTEGER NOT NULL CHECK (num_frames > 0),
    fps DOUBLE NOT NULL CHECK (fps > 0),
    duration_s DOUBLE NOT NULL CHECK (duration_s > 0),
    codec VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL CHECK (size_bytes > 0),
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE video_media (
    video_id VARCHAR NOT NULL CHECK (video_id <> ''),
    media_id VARCHAR NOT NULL CHECK (length(media_id) = 64),
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE pair (
    pair_id VARCHAR NOT NULL CHECK (pair_id <> ''),
    prompt_id VARCHAR NOT NULL,
    video_a_id VARCHAR NOT NULL,
    video_b_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    raters_per_pair INTEGER NOT NULL CHECK (raters_per_pair >= 1),
    priority DOUBLE NOT NULL,
    round INTEGER NOT NULL CHECK (round >= 0),
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL,
    CHECK (video_a_id <> video_b_id)
);

CREATE TABLE rater (
    rater_id VARCHAR NOT NULL CHECK (rater_id <> ''),
    name VARCHAR NOT NULL CHECK (name <> ''),
    kind VARCHAR NOT NULL CHECK (kind IN ('human', 'model')),
    details JSON NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE account (
    rater_id VARCHAR NOT NULL CHECK (rater_id <> ''),
    name VARCHAR NOT NULL CHECK (name <> ''),
    role VARCHAR NOT NULL CHECK (role IN ('annotator', 'researcher', 'admin')),
    password_hash VARCHAR NOT NULL,
    disabled BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE credential (
    token_hash VARCHAR NOT NULL CHECK (token_hash <> ''),
    rater_id VARCHAR NOT NULL CHECK (rater_id <> ''),
    kind VARCHAR NOT NULL CHECK (kind IN ('session', 'token', 'one_time')),
    expires_at TIMESTAMP,
    revoked BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE assignment (
    assignment_id VARCHAR NOT NULL CHECK (assignment_id <> ''),
    pair_id VARCHAR NOT NULL,
    rater_id VARCHAR NOT NULL,
    left_video_id VARCHAR NOT NULL,
    right_video_id VARCHAR NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL,
    CHECK (left_video_id <> right_video_id)
);

CREATE TABLE assignment_end (
    assignment_id VARCHAR NOT NULL CHECK (assignment_id <> ''),
    reason VARCHAR NOT NULL CHECK (reason IN ('submitted', 'skipped', 'returned', 'expired')),
    note VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE judgment (
    judgment_id VARCHAR NOT NULL CHECK (judgment_id <> ''),
    pair_id VARCHAR NOT NULL,
    rater_id VARCHAR NOT NULL,
    aspect VARCHAR NOT NULL CHECK (aspect IN ('visual_quality', 'motion_quality', 'text_alignment', 'overall')),
    outcome VARCHAR NOT NULL CHECK (outcome IN ('a', 'b', 'both_good', 'both_bad', 'unparsed')),
    chosen_video_id VARCHAR,
    left_video_id VARCHAR NOT NULL,
    right_video_id VARCHAR NOT NULL,
    assignment_id VARCHAR,
    confidence TINYINT CHECK (confidence BETWEEN 1 AND 3),
    comment VARCHAR,
    evidence JSON NOT NULL,
    late BOOLEAN NOT NULL,
    replaces VARCHAR,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL,
    CHECK (left_video_id <> right_video_id),
    CHECK ((outcome IN ('a', 'b')) = (chosen_video_id IS NOT NULL)),
    CHECK (chosen_video_id IS NULL OR chosen_video_id IN (left_video_id, right_video_id))
);

CREATE TABLE rating (
    rating_id VARCHAR NOT NULL CHECK (rating_id <> ''),
    video_id VARCHAR NOT NULL,
    rater_id VARCHAR NOT NULL,
    aspect VARCHAR NOT NULL CHECK (aspect <> ''),
    value DOUBLE NOT NULL,
    scale_low DOUBLE,
    scale_high DOUBLE,
    comment VARCHAR,
    replaces VARCHAR,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL,
    CHECK (scale_low IS NULL OR value >= scale_low),
    CHECK (scale_high IS NULL OR value <= scale_high)
);

CREATE TABLE dataset (
    dataset_id VARCHAR NOT NULL CHECK (dataset_id <> ''),
    name VARCHAR NOT NULL,
    category VARCHAR,
    path VARCHAR NOT NULL,
    num_pairs INTEGER NOT NULL CHECK (num_pairs >= 0),
    num_videos INTEGER NOT NULL CHECK (num_videos >= 0),
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE run (
    run_id VARCHAR NOT NULL CHECK (run_id <> ''),
    dataset_id VARCHAR NOT NULL,
    generator_id VARCHAR NOT NULL,
    recipe VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE run_end (
    run_id VARCHAR NOT NULL CHECK (run_id <> ''),
    status VARCHAR NOT NULL CHECK (status IN ('finished', 'failed', 'interrupted')),
    message VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE round (
    round_id VARCHAR NOT NULL CHECK (round_id <> ''),
    category VARCHAR NOT NULL,
    number INTEGER NOT NULL CHECK (number >= 1),
    parent_generator_id VARCHAR NOT NULL,
    generator_id VARCHAR NOT NULL,
    dataset_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    report JSON NOT NULL,
    created_at TIMESTAMP NOT NULL,
    seq BIGINT NOT NULL
);

-- What counts now: rows that no later row replaces.
CREATE VIEW current_judgment AS
    SELECT * FROM judgment
    WHERE judgment_id NOT IN (SELECT replaces FROM judgment WHERE replaces IS NOT NULL);

CREATE VIEW current_rating AS
    SELECT * FROM rating
    WHERE rating_id NOT IN (SELECT replaces FROM rating WHERE replaces IS NOT NULL);

CREATE VIEW current_account AS
    SELECT * FROM account QUALIFY row_number() OVER (PARTITION BY rater_id ORDER BY seq DESC, rowid DESC) = 1;

CREATE VIEW current_credential AS
    SELECT * FROM credential QUALIFY row_number() OVER (PARTITION BY token_hash ORDER BY seq DESC, rowid DESC) = 1;
