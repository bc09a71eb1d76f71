-- Deliveries that wait behind their key: one that a sink did not take and that waits for its next attempt, and what came of its
-- item since. The cursor of their route has passed them. What they say stands in the ledger, and is made again from there.

create table parked (
    ledger_id integer not null references ledger,
    delivery text not null,
    route text not null,
    sink text not null,
    token bytea not null check (octet_length(token) = 16),
    position bigint not null check (position >= 0),
    output integer not null check (output >= 0),
    version integer not null check (version >= 1),
    attempts integer not null default 0 check (attempts >= 0),
    failures integer not null default 0 check (failures >= 0),
    failed_at timestamptz,
    due_at timestamptz,
    parked_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, delivery)
);
create index parked_in_order on parked (ledger_id, route, sink, token, position, output);
comment on column parked.token is 'of the item, as in its entry';
comment on column parked.output is 'number of the output that the version made of the change; 0 is the change as it is';
comment on column parked.failures is 'attempts that count: those that a sink answered';
comment on column parked.failed_at is 'when it failed first';
comment on column parked.due_at is 'when it is attempted again; null behind another of its item';

grant select on parked to weir_reader, weir_writer, weir_eraser;
grant insert, delete on parked to weir_writer;
grant update (attempts, failures, failed_at, due_at) on parked to weir_writer;
