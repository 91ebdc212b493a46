// How each payment ended, per merchant and currency, kept in a file. Needs npm's kafkajs, nothing of Sluice.
//
//     node examples/javascript/outcomes.mjs --bootstrap localhost:9092 --journal outcomes.journal
//
// reads `payments.v1` from its first record on, and goes on for ever; Ctrl-C prints the figures. With `--from-latest`
// it begins with `payments.latest.v1`, which has one record per payment, and reads of `payments.v1` what is written
// from now on. With `--until-end` it stops once it has read what there was when it began.
//
// A batch is one line of the journal: payments and offset together, so a kill at any moment repeats nothing and loses
// nothing. One process at a time: the journal is its own. kafkajs reads records that are not compressed, or by gzip;
// ours are not.

import { randomUUID } from "node:crypto";
import { closeSync, fdatasyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { Kafka, logLevel } from "kafkajs";

const { values: given } = parseArgs({
  options: {
    bootstrap: { type: "string", default: "localhost:9092" },
    journal: { type: "string", default: "outcomes.journal" },
    prefix: { type: "string", default: "" },
    "from-latest": { type: "boolean", default: false },
    "until-end": { type: "boolean", default: false },
  },
});
const EVENTS = given.prefix + "payments.v1";
const LATEST = given.prefix + "payments.latest.v1";
const topics = given["from-latest"] ? [LATEST, EVENTS] : [EVENTS];

const payments = new Map(); // id: [sequence, merchant, currency, captured, refunded]
const places = new Map(); // topic/partition: the next offset, a BigInt

// --- the journal --------------------------------------------------------------------------------------------

function apply({ places: next, payments: changed }) {
  for (const [place, offset] of next) places.set(place, BigInt(offset));
  for (const [id, row] of changed) payments.set(id, row);
}

/** What was kept, in a new journal of one line. A last line that is not whole is dropped: its batch comes again. */
function openJournal(path) {
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  for (const line of text.split("\n").slice(0, -1)) apply(JSON.parse(line));
  const file = openSync(`${path}.new`, "w");
  append(file, [...places], [...payments]);
  renameSync(`${path}.new`, path);
  return file;
}

function append(file, next, changed) {
  const line = { places: next.map(([place, offset]) => [place, String(offset)]), payments: changed };
  writeSync(file, JSON.stringify(line) + "\n");
  fdatasyncSync(file);
}

// --- records ------------------------------------------------------------------------------------------------

/** The event in a record, if it tells of a payment: whatever its type is, it carries the payment as it then was. */
function eventOf(topic, partition, message) {
  try {
    const event = JSON.parse(message.value);
    if (typeof event.payment.id === "string" && Number.isInteger(event.sequence)) return event;
  } catch {
    // said below
  }
  console.error(`${topic}/${partition}/${message.offset}: no event of a payment`); // it is on dead_letter.v1 as well
  return null;
}

/** The payments that a batch changes. A repeat, or what both topics tell of, has no higher sequence. */
function changesOf({ topic, partition, messages }, from) {
  const changed = new Map();
  for (const message of messages.filter(({ offset }) => BigInt(offset) >= from)) {
    const event = eventOf(topic, partition, message);
    if (event === null) continue;
    const { id, merchant, currency, amount_captured, amount_refunded } = event.payment;
    const [known] = changed.get(id) ?? payments.get(id) ?? [0];
    if (event.sequence > known) changed.set(id, [event.sequence, merchant, currency, amount_captured, amount_refunded]);
  }
  return [...changed];
}

function take(file, batch) {
  const place = `${batch.topic}/${batch.partition}`;
  const next = [[place, BigInt(batch.lastOffset()) + 1n]];
  const changed = changesOf(batch, places.get(place));
  append(file, next, changed);
  apply({ places: next, payments: changed });
}

/** Count, captured and refunded (minor units of the currency) of each merchant and currency. */
function figures() {
  const rows = new Map();
  for (const [, merchant, currency, captured, refunded] of payments.values()) {
    const key = `${merchant} ${currency}`;
    const row = rows.get(key) ?? { merchant, currency, count: 0, captured: 0, refunded: 0 };
    rows.set(key, row);
    row.count += 1;
    row.captured += captured;
    row.refunded += refunded;
  }
  return [...rows.keys()].sort().map((key) => rows.get(key));
}

// --- reading ------------------------------------------------------------------------------------------------

/** Where each partition ends now. One that was never read is read from its beginning, or events from that end. */
async function begin(kafka) {
  const admin = kafka.admin();
  await admin.connect();
  const ends = new Map();
  for (const topic of topics) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      const place = `${topic}/${partition}`;
      ends.set(place, BigInt(high));
      const first = topic === EVENTS && given["from-latest"] ? high : low;
      if (!places.has(place)) places.set(place, BigInt(first));
    }
  }
  await admin.disconnect();
  return ends;
}

const kafka = new Kafka({ clientId: "outcomes", brokers: given.bootstrap.split(","), logLevel: logLevel.ERROR });
const file = openJournal(given.journal);
const ends = await begin(kafka);
append(file, [...places], []);

const isAtEnd = () => [...ends].every(([place, end]) => places.get(place) >= end);
let stop;
const stopped = new Promise((resolve) => (stop = resolve));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop());

// kafkajs reads in groups only. This one is new each time, so that nobody waits until a killed one is given up, and it
// commits nothing: the places are ours, and set whenever partitions are given.
const consumer = kafka.consumer({ groupId: `outcomes-${randomUUID()}`, allowAutoTopicCreation: false });
consumer.on(consumer.events.GROUP_JOIN, () => {
  for (const place of ends.keys()) {
    const [topic, partition] = place.split("/");
    consumer.seek({ topic, partition: Number(partition), offset: String(places.get(place)) });
  }
});
consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || stop(payload.error));

if (!(given["until-end"] && isAtEnd())) {
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      take(file, batch);
      if (given["until-end"] && isAtEnd()) stop();
    },
  });
  const error = await stopped;
  if (error) throw error;
  await consumer.disconnect();
}
closeSync(file);
console.log(JSON.stringify(figures(), null, 2));
