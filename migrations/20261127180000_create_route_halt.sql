-- Routes that stand still on purpose: their plugin failed on a change, and they are configured to halt there. The next version of
-- the route begins where it halted.

create table route_halt (
    ledger_id integer not null references ledger,
    route text not null,
    position bigint not null check (position >= 0),
    version integer not null,
    code text not null,
    halted_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, route)
);
comment on column route_halt.position is 'of the change; everything before it is settled';
comment on column route_halt.version is 'of the route, whose plugin failed';
comment on column route_halt.code is 'what happened, for machines; what the plugin said may quote the change, and stands nowhere';

grant select on route_halt to weir_reader, weir_writer, weir_eraser;
grant insert, delete on route_halt to weir_writer;
grant update (position, version, code, halted_at) on route_halt to weir_writer;
