// A consumer of DynamoDB Streams as one writes it for Node: the AWS client, and `unmarshall` for what it gives.
//
//     node consumer.cjs PAGE
//
// Reads the page of the file PAGE once for each line on its input, out of memory, and answers each with a line: how many
// records there were, and the nanoseconds that one of them took.

"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const { DynamoDBStreamsClient, GetRecordsCommand } = require("@aws-sdk/client-dynamodb-streams");
const { unmarshall } = require("@aws-sdk/util-dynamodb");

const page = new Uint8Array(fs.readFileSync(process.argv[2]));

const client = new DynamoDBStreamsClient({
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  requestHandler: {
    handle: async () => ({
      response: { statusCode: 200, headers: { "content-type": "application/x-amz-json-1.0" }, body: page },
    }),
  },
});

const image = (item) => item && unmarshall(item);

async function read() {
  const output = await client.send(new GetRecordsCommand({ ShardIterator: "first", Limit: 1000 }));
  return output.Records.map(({ eventID, eventName, dynamodb, userIdentity }) => ({
    id: eventID,
    operation: eventName,
    sequence: dynamodb.SequenceNumber,
    createdAt: dynamodb.ApproximateCreationDateTime,
    keys: image(dynamodb.Keys),
    old: image(dynamodb.OldImage),
    new: image(dynamodb.NewImage),
    service: userIdentity?.PrincipalId,
  }));
}

async function main() {
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    const begun = process.hrtime.bigint();
    const changes = await read();
    const took = process.hrtime.bigint() - begun;
    process.stdout.write(`${changes.length} ${took / BigInt(changes.length)}\n`);
  }
}

main();
