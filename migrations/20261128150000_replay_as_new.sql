-- A replay may send as new, under a name: what comes of it has ids of its own. Whatever waits or is given up keeps that name, so that
-- it is made again under the same id.

alter table replay add column as_new text;
comment on column replay.as_new is 'sends under ids that are derived from this name; null for the ids that it had';

alter table parked add column as_new text;
comment on column parked.as_new is 'name of the replay that sends it as new';

alter table dead_letter add column as_new text;
comment on column dead_letter.as_new is 'name of the replay that sends it as new';
