-- Any number of processes share the shards of a ledger. Each is a worker with one heartbeat row; a shard says which worker
-- reads it. A worker whose heartbeat stopped is gone, and its shards are free. None of this keeps recording correct: that
-- is the shard's epoch, which every append checks. It only keeps two workers from reading the same shard for nothing.

create table worker (
    worker_id bigint generated always as identity primary key,
    ledger_id integer not null references ledger,
    name text not null,
    is_draining boolean not null default false,
    started_at timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
comment on column worker.name is 'host and process, for people';
comment on column worker.is_draining is 'an operator asked it to hand all its shards over and take no other';

alter table shard
    add column worker_id bigint references worker on delete set null,
    add column wanted_by bigint references worker on delete set null,
    add column gaps bigint not null default 0 check (gaps >= 0);
comment on column shard.gaps is 'gap entries that were recorded of it: records that were lost, or may have been';
comment on column shard.worker_id is 'who reads it; null, or a worker whose heartbeat stopped: it is free';
comment on column shard.wanted_by is 'who asks its worker to hand it over; ignored once the asker''s heartbeat stopped';

alter table stream
    add column described_at timestamptz,
    add column drained_at timestamptz;
comment on column stream.drained_at is 'when it was off, and everything of it was recorded: from then on the next stream of its table is';
comment on column stream.described_at is 'when a worker last asked for its shards: one worker asks for all';

-- What workers tell of the shards that they read. Beside `shard`, whose rows every append rewrites.
create table shard_activity (
    stream_id integer not null,
    shard text not null,
    records_per_s real not null check (records_per_s >= 0),
    reads_per_h real not null check (reads_per_h >= 0),
    read_at timestamptz not null,
    record_at timestamptz,
    primary key (stream_id, shard),
    foreign key (stream_id, shard) references shard
) with (fillfactor = 50);
comment on column shard_activity.read_at is 'when the source last answered';
comment on column shard_activity.record_at is 'time of the last record that came, as the source says it';

grant select on worker, shard_activity to weir_reader, weir_writer, weir_eraser;
grant insert, update, delete on worker, shard_activity to weir_writer;
