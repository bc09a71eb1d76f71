-- Plugins that were uploaded to a ledger, and what the configuration said of a route when it was read last. That a plugin
-- was uploaded, promoted or rolled back is an entry too, written in the transaction that makes it so.

create table upload (
    ledger_id integer not null references ledger,
    plugin_digest bytea not null references plugin,
    name text not null,
    version text not null,
    manifest text not null,
    signer text not null,
    position bigint not null check (position >= 0),
    uploaded_at timestamptz not null,
    primary key (ledger_id, plugin_digest, signer)
);
comment on column upload.manifest is 'JSON: what the plugin said of itself when it was uploaded';
comment on column upload.signer is 'the trusted key that signed it; empty where no signature was asked for';
comment on column upload.position is 'of the entry that tells of the upload';

create table route_configuration (
    ledger_id integer not null references ledger,
    route text not null,
    definition text not null,
    primary key (ledger_id, route)
);
comment on table route_configuration is
    'only what differs from this in the configuration changes the route: what was promoted meanwhile stays';

grant select on upload, route_configuration to weir_reader, weir_writer, weir_eraser;
grant insert on upload, route_configuration to weir_writer;
grant update on route_configuration to weir_writer;
