-- Ranges of the ledger that routes run through once more, on an operator's order. One of a route at a time.

create table replay (
    ledger_id integer not null references ledger,
    route text not null,
    next_position bigint not null check (next_position >= 0),
    until_position bigint not null check (until_position > next_position),
    version integer check (version >= 1),
    tokens bytea[] not null,
    ordered_at timestamptz not null,
    primary key (ledger_id, route)
);
comment on column replay.next_position is 'everything of the range below this was dealt with; the row goes with the last of it';
comment on column replay.version is 'of the route, for every position; null for the one that routed each';
comment on column replay.tokens is 'of the items that are meant, as in their entries; none for all';

grant select on replay to weir_reader, weir_writer, weir_eraser;
grant insert, delete on replay to weir_writer;
grant update (next_position) on replay to weir_writer;
