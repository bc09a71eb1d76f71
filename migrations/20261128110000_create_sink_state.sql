-- What stands still at the way out: what an operator paused, and sinks that are left alone because they take nothing.

create table pause (
    ledger_id integer not null references ledger,
    kind text not null check (kind in ('route', 'sink')),
    name text not null,
    reason text not null,
    paused_at timestamptz not null,
    primary key (ledger_id, kind, name)
);
comment on table pause is 'a route or sink stands still as long as its row is here';

create table sink_state (
    ledger_id integer not null references ledger,
    sink text not null,
    state text not null check (state in ('closed', 'open', 'half-open')),
    reason text not null,
    since timestamptz not null default clock_timestamp(),
    primary key (ledger_id, sink)
);
comment on column sink_state.state is 'of its circuit breaker, as the process that routes saw it last: open sends nothing';
comment on column sink_state.reason is 'why it opened; empty while closed';

grant select on pause, sink_state to weir_reader, weir_writer, weir_eraser;
grant insert, delete on pause, sink_state to weir_writer;
grant update (reason, paused_at) on pause to weir_writer;
grant update (state, reason, since) on sink_state to weir_writer;
grant update (reason) on sink_state to weir_eraser;
