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
