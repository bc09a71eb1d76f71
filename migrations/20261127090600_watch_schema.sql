-- Whoever changes the tables or triggers that keep entries append-only leaves a mark. Only a superuser may set up what makes
-- it; without it `weir doctor` says that nobody watches.

create table schema_incident (
    schema_incident_id bigint generated always as identity primary key,
    happened_at timestamptz not null default clock_timestamp(),
    database_user text not null default session_user,
    statement text not null,
    fault text not null
);
comment on table schema_incident is 'what somebody did to the tables or triggers that keep entries append-only; doctor and verify report it';
grant select on schema_incident to weir_reader, weir_writer, weir_eraser;

create function note_schema_incident() returns event_trigger language plpgsql security definer set search_path from current as $$
begin
    insert into schema_incident (statement, fault)
    select left(coalesce(current_query(), ''), 1000), fault from append_only_faults() as fault;
end
$$;

do $$
begin
    create event trigger weir_watches_schema on ddl_command_end
        when tag in ('ALTER TABLE', 'DROP TABLE', 'DROP TRIGGER', 'ALTER TRIGGER', 'DROP FUNCTION')
        execute function note_schema_incident();
    insert into schema_watch default values;
exception when insufficient_privilege then
    raise notice 'only a superuser may make an event trigger; changes of the schema will leave no mark, and `weir doctor` says so';
end
$$;
