-- What stands after the ledger: consumers with a cursor, the versions of routes, their plugins, and what could not be
-- delivered. All of it can be rebuilt from the ledger or is configuration.

create table consumer (
    ledger_id integer not null references ledger,
    name text not null,
    next_position bigint not null check (next_position >= 0),
    epoch bigint not null default 0,
    moved_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, name)
) with (fillfactor = 30);
comment on column consumer.next_position is 'everything below was dealt with by this consumer';
comment on column consumer.epoch is 'counts hand-overs; a cursor moved under an older epoch is refused';

create table plugin (
    digest bytea primary key check (octet_length(digest) = 32),
    component bytea not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on column plugin.digest is 'SHA-256 of the component';

create table route_version (
    ledger_id integer not null references ledger,
    route text not null,
    version integer not null check (version >= 1),
    from_position bigint not null check (from_position >= 0),
    definition text not null,
    plugin_digest bytea references plugin,
    created_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, route, version)
);
comment on column route_version.from_position is 'positions from here on, up to the next version, are routed by this one';
comment on column route_version.definition is 'JSON: source, pattern, plugin configuration, sinks';

create table dead_letter (
    ledger_id integer not null references ledger,
    delivery text not null,
    route text not null,
    version integer not null,
    position bigint not null,
    sink text,
    code text not null,
    reason text not null,
    attempts integer not null check (attempts >= 0),
    plugin_digest bytea,
    plugin_log text,
    payload text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (ledger_id, delivery)
);
create index dead_letter_by_route on dead_letter (ledger_id, route, position);
comment on column dead_letter.sink is 'null where the plugin failed before there was anything to send';
comment on column dead_letter.payload is 'the event that was not accepted';
