-- Who may do what. Four roles, so that the process that records cannot erase, and neither can touch what was recorded:
--
--   the owner of the schema   migrates; whoever ran this
--   weir_writer               records and routes: adds entries, moves heads, shards and cursors
--   weir_reader               reads
--   weir_eraser               empties bodies and destroys their keys; nothing else of an entry
--
-- A process logs in as any user that is a member of the roles it needs and puts them on. Roles belong to the server, not
-- to the database, so they may be there already, and another database may be making them at this moment.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['weir_reader', 'weir_writer', 'weir_eraser'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise exception 'the role % is not there, and % may not create roles; let an administrator run: create role weir_reader; create role weir_writer; create role weir_eraser; grant weir_reader, weir_writer, weir_eraser to %;',
                        role_name, current_user, quote_ident(current_user);
            end;
        end if;
        if not pg_has_role(current_user, role_name, 'member') then
            execute format('grant %I to %I', role_name, current_user);
        end if;
    end loop;
end
$$;

do $$
begin
    execute format('grant usage on schema %I to weir_reader, weir_writer, weir_eraser', current_schema());
end
$$;

grant select on
    ledger, ledger_head, body_key_counter, segment_key, entry, stream, shard, consumer, plugin, route_version, dead_letter,
    item_index, _sqlx_migrations
to weir_reader, weir_writer, weir_eraser;

grant insert on
    ledger, ledger_head, body_key_counter, segment_key, entry, stream, shard, consumer, plugin, route_version, dead_letter,
    item_index
to weir_writer;
grant update on ledger_head, body_key_counter, stream, shard, consumer to weir_writer;

grant update (body_key, body) on entry to weir_eraser;
grant update on segment_key to weir_eraser;
grant update (payload, plugin_log, reason) on dead_letter to weir_eraser;
grant delete on item_index to weir_eraser;

revoke execute on function ensure_entry_partitions(integer, bigint) from public;
grant execute on function ensure_entry_partitions(integer, bigint) to weir_writer;
