-- The partition behind the one that the head stands in is made before the head reaches the latter, by whoever appends. But
-- a process that did not append for a while knows a smaller size and may be the first to cross the border; until its next
-- append, the partition behind is not there and nobody has taken it. So it is asked for only when the head is well past the
-- border. The first two are made before the first entry.
create or replace function append_only_faults() returns setof text language sql stable
    security definer set search_path from current as $$
    with guarded as (
        select class.oid, class.relname, class.relname in ('entry', 'tile') as is_parent,
            class.relname = 'entry' or class.relname ~ '^entry_\d+_\d+$' as is_entry
        from pg_class as class
        where class.relnamespace = current_schema()::regnamespace and class.relkind in ('r', 'p')
          and (class.relname in ('entry', 'tile') or class.relname ~ '^entry_\d+_\d+$')
    ),
    wanted as (
        select oid, relname, format('%s_is_append_only', case when is_entry then 'entry' else 'tile' end) as trigger_name from guarded
        union all
        select oid, relname, format('%s_is_not_truncated', case when is_entry then 'entry' else 'tile' end) from guarded
    )
    select case when found.tgname is null
        then format('table %s has no trigger %s', wanted.relname, wanted.trigger_name)
        else format('trigger %s of table %s is disabled', wanted.trigger_name, wanted.relname) end
    from wanted
    left join pg_trigger as found on found.tgrelid = wanted.oid and found.tgname = wanted.trigger_name
    where found.tgname is null or found.tgenabled not in ('O', 'A')
    union all
    select format('partition %s is detached', guarded.relname)
    from guarded
    where guarded.relname <> 'entry' and guarded.is_entry
      and not exists (select from pg_inherits where inhrelid = guarded.oid and inhparent = 'entry'::regclass)
    union all
    select format('partition entry_%s_%s is gone', ledger_id, missing)
    from (
        -- Those that the head needs, and those below one that is there. A head whose size was changed may need any number:
        -- the first two that are missing tell enough.
        select ledger_id, least(greatest(1, (size - 1 - 131072) / 1048576 + 1), 2 + (
            select coalesce(max(split_part(relname, '_', 3)::bigint), -1)
            from guarded
            where is_entry and not is_parent and split_part(relname, '_', 2) = ledger_id::text
        )) as newest
        from ledger_head
        where size > 0
    ) as ledgers
    cross join lateral generate_series(0, newest) as missing
    where to_regclass(format('entry_%s_%s', ledger_id, missing)) is null
    union all
    select 'the event trigger weir_watches_schema is not there or disabled: changes of the schema leave no mark'
    where exists (select from schema_watch) and not exists (select from pg_event_trigger where evtname = 'weir_watches_schema' and evtenabled in ('O', 'A'))
$$;
