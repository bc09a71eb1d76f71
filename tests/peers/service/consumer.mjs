// What a team would write itself: reads the shards of a stream side by side, keeps every change in Postgres before anything is
// sent, drops what the filter drops, and sends the rest to a webhook, signed, and to a queue, ten at a time. A page is done when
// all of it was acknowledged.
//
// It promises less than Weir, to its own advantage: the records of a page are handled at the same time, so the changes of an item
// may arrive in another order, and nothing of what it keeps could be proved.

import { BatchProcessor, EventType, processPartialResponse } from "@aws-lambda-powertools/batch";
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ListStreamsCommand,
} from "@aws-sdk/client-dynamodb-streams";
import { SendMessageBatchCommand, SQSClient } from "@aws-sdk/client-sqs";
import { unmarshall } from "@aws-sdk/util-dynamodb";
import { createHmac } from "node:crypto";
import pg from "pg";
import { Agent, request } from "undici";

const { STREAMS_ENDPOINT, TABLE, WEBHOOK_URL, WEBHOOK_SECRET, QUEUE_ENDPOINT, QUEUE_URL, POSTGRES_URL } = process.env;

/** Requests to the webhook at a time, and so many to the queue. */
const CONNECTIONS = 32;
const QUEUE_BATCH = 10;

const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const streams = new DynamoDBStreamsClient({ region: "us-east-1", endpoint: STREAMS_ENDPOINT, credentials });
const queue = new SQSClient({ region: "us-east-1", endpoint: QUEUE_ENDPOINT, credentials });
const database = new pg.Pool({ connectionString: POSTGRES_URL, max: 8 });
const agent = new Agent({ connections: CONNECTIONS, pipelining: 1 });
const key = Buffer.from(WEBHOOK_SECRET.replace("whsec_", ""), "base64");

/** Collects events until there are ten, or the page has no more. */
class QueueBatch {
  waiting = [];
  sent = [];

  add(id, body) {
    this.waiting.push({ Id: String(this.waiting.length), MessageBody: body });
    if (this.waiting.length === QUEUE_BATCH) this.flush();
  }

  flush() {
    if (this.waiting.length === 0) return;
    const command = new SendMessageBatchCommand({ QueueUrl: QUEUE_URL, Entries: this.waiting });
    this.waiting = [];
    const sent = queue.send(command).then((answer) => {
      if (answer.Failed?.length) throw new Error(`the queue refused ${answer.Failed.length} messages`);
    });
    // It is looked at when the page is done.
    sent.catch(() => {});
    this.sent.push(sent);
  }

  async done() {
    this.flush();
    await Promise.all(this.sent);
  }
}

/** Keeps a page: every change, and how far the shard is, in one transaction. */
async function keep(shard, records) {
  const client = await database.connect();
  try {
    await client.query("begin");
    await client.query(
      `insert into audit (shard, event_id, sequence, operation, keys, old, new)
       select $1, event_id, sequence, operation, keys::jsonb, old::jsonb, new::jsonb
       from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
         as record (event_id, sequence, operation, keys, old, new)
       on conflict do nothing`,
      [
        shard,
        records.map((record) => record.eventID),
        records.map((record) => record.dynamodb.SequenceNumber),
        records.map((record) => record.eventName),
        records.map((record) => JSON.stringify(record.dynamodb.Keys)),
        records.map((record) => JSON.stringify(record.dynamodb.OldImage ?? null)),
        records.map((record) => JSON.stringify(record.dynamodb.NewImage ?? null)),
      ],
    );
    await client.query(
      "insert into shard (shard, sequence) values ($1, $2) on conflict (shard) do update set sequence = excluded.sequence",
      [shard, records.at(-1).dynamodb.SequenceNumber],
    );
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}

/** The event of a change; nothing if neither status nor total changed. */
function eventOf(record) {
  const read = (image) => (image ? unmarshall(image) : undefined);
  const [keys, before, after] = [record.dynamodb.Keys, record.dynamodb.OldImage, record.dynamodb.NewImage].map(read);
  if (before && after && before.status === after.status && before.total === after.total) return undefined;
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]);
  const same = (name) => JSON.stringify(before?.[name]) === JSON.stringify(after?.[name]);
  return {
    type: `${TABLE}.${record.eventName.toLowerCase()}`,
    timestamp: record.dynamodb.ApproximateCreationDateTime,
    data: {
      id: record.eventID,
      table: TABLE,
      operation: record.eventName.toLowerCase(),
      keys,
      old: before,
      new: after,
      changed: [...names].filter((name) => !same(name)),
    },
  };
}

async function post(id, body) {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  const answer = await request(WEBHOOK_URL, {
    dispatcher: agent,
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${signature}`,
    },
  });
  await answer.body.dump();
  if (answer.statusCode >= 300) throw new Error(`the webhook answered ${answer.statusCode}`);
}

async function handle(records) {
  const processor = new BatchProcessor(EventType.DynamoDBStreams);
  const batch = new QueueBatch();
  const handler = async (record) => {
    const event = eventOf(record);
    if (!event) return;
    const body = JSON.stringify(event);
    batch.add(record.eventID, body);
    await post(record.eventID, body);
  };
  const { batchItemFailures } = await processPartialResponse({ Records: records }, handler, processor);
  if (batchItemFailures.length > 0) throw new Error(`${batchItemFailures.length} records failed`);
  await batch.done();
}

async function consume(arn, shard) {
  const first = { StreamArn: arn, ShardId: shard, ShardIteratorType: "TRIM_HORIZON" };
  let { ShardIterator: iterator } = await streams.send(new GetShardIteratorCommand(first));
  while (iterator) {
    const page = await streams.send(new GetRecordsCommand({ ShardIterator: iterator, Limit: 1000 }));
    if (page.Records.length > 0) {
      await keep(shard, page.Records);
      await handle(page.Records);
    } else {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    iterator = page.NextShardIterator;
  }
}

await database.query(`create table if not exists audit (
  position bigint generated always as identity primary key, event_id text not null unique, shard text not null,
  sequence text not null, operation text not null, keys jsonb not null, old jsonb, new jsonb,
  recorded_at timestamptz not null default clock_timestamp())`);
await database.query("create table if not exists shard (shard text primary key, sequence text not null)");
const listed = await streams.send(new ListStreamsCommand({ TableName: TABLE }));
const arn = listed.Streams[0].StreamArn;
const { StreamDescription: described } = await streams.send(new DescribeStreamCommand({ StreamArn: arn }));
await Promise.all(described.Shards.map((shard) => consume(arn, shard.ShardId)));
