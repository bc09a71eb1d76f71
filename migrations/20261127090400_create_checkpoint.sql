-- Signed heads. They are made after the commit by whoever holds the signing key, and only when the guard, which is kept
-- outside this database, agrees that the tree has only grown.

create table origin (
    ledger_id integer not null references ledger,
    number integer not null check (number >= 0),
    origin text not null unique,
    reason text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, number)
);
comment on table origin is 'names under which heads of a ledger were signed; a new one begins when an operator declares that the tree was not only added to (a restored back-up)';

create table checkpoint (
    ledger_id integer not null,
    origin_number integer not null,
    size bigint not null check (size >= 0),
    note text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, origin_number, size),
    foreign key (ledger_id, origin_number) references origin
);
comment on column checkpoint.note is 'the signed note (C2SP tlog-checkpoint), with the cosignatures that came';
comment on table checkpoint is 'the newest, and the first of every minute before: several a second are signed while records come';

create table verifier_key (
    ledger_id integer not null references ledger,
    vkey text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, vkey)
);
comment on table verifier_key is 'every public key whose signature stands below a checkpoint, own keys and those of witnesses: so a changed signature is told from an unknown one. Whom to trust is not said here';

grant select on origin, checkpoint, verifier_key to weir_reader, weir_writer, weir_eraser;
grant insert on origin, checkpoint, verifier_key to weir_writer;
grant update (note) on checkpoint to weir_writer;

-- Removes what is neither the newest nor the first of its minute, among the last 300: who records may not remove others.
create function thin_checkpoints(thinned_ledger integer, thinned_origin integer) returns void
    language sql security definer set search_path from current as $$
    with recent as (
        select size, created_at, row_number() over (order by size desc) as age,
            row_number() over (partition by date_trunc('minute', created_at) order by size) as place_in_minute
        from (
            select size, created_at from checkpoint
            where ledger_id = thinned_ledger and origin_number = thinned_origin
            order by size desc
            limit 300
        ) as newest
    )
    delete from checkpoint
    using recent
    where ledger_id = thinned_ledger and origin_number = thinned_origin and checkpoint.size = recent.size
      and age > 1 and place_in_minute > 1
$$;
revoke execute on function thin_checkpoints(integer, integer) from public;
grant execute on function thin_checkpoints(integer, integer) to weir_writer;
