-- How far each shard of each stream was recorded. A shard's position moves only in the transaction that adds its
-- entries, and only under the epoch of whoever holds the shard: that is what makes recording exactly once.

create table stream (
    stream_id integer generated always as identity primary key,
    ledger_id integer not null references ledger,
    source text not null,
    arn text not null unique,
    table_name text not null,
    key_names text[] not null,
    records_from timestamptz,
    created_at timestamptz not null default clock_timestamp()
);
comment on column stream.arn is 'one life of a table''s stream; it belongs to one ledger for life';
comment on column stream.key_names is 'key attributes of the table, partition key first: finds an item from what a person types';
comment on column stream.records_from is 'records older than this are skipped (start at "latest"); null: everything still readable is recorded';

create table shard (
    stream_id integer not null references stream,
    shard text not null,
    parent text,
    epoch bigint not null default 0,
    position text,
    finished_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    primary key (stream_id, shard)
) with (fillfactor = 50);
comment on column shard.epoch is 'counts hand-overs; an append under an older epoch is refused';
comment on column shard.position is 'sequence number of the last record that is in the ledger';
comment on column shard.finished_at is 'when its end was recorded; children may be read from then on';
