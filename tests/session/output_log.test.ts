// The output log against a model that keeps everything in an array: whatever is done to it, nothing undelivered is lost.
import { Buffer } from "node:buffer";
import { mkdtempSync, readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isFull, seeds } from "../faults/random.ts";
import { tempDir } from "../harness/temp.ts";
import { createOutputLog, type LogView, type OutputLog } from "../../src/process/output_log.ts";
import { MAX_DETACHED_EVENTS, MAX_OBSERVER_EVENTS, type Retention } from "../../src/process/retention.ts";
import type { OutputStream } from "../../src/process/trait.ts";

/** How the made-up process ends. */
const EXIT = { exitCode: 7, signal: undefined, timedOut: false, terminated: false, oomKilled: false };
const RUNS = isFull ? 2_000 : 150;
const [seed = 0] = seeds(1);
const folder = tempDir();
console.log(`seed ${seed}`);

/** What a producer and a reader may do. Sizes are in 1/16 of the largest piece, 64 KiB. */
type Action =
  | {
    readonly do: "append";
    readonly stream: OutputStream;
    readonly sixteenths: number;
    readonly times: number;
  }
  | { readonly do: "exit" }
  | { readonly do: "read"; readonly events: number }
  | { readonly do: "deliver"; readonly behind: number }
  | { readonly do: "attach"; readonly attached: boolean };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      stream: fc.constantFrom<OutputStream>("stdout", "stderr"),
      sixteenths: fc.integer({ min: 0, max: 16 }),
      times: fc.integer({ min: 1, max: 24 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("read" as const), events: fc.nat({ max: 60 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("deliver" as const), behind: fc.nat({ max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("attach" as const), attached: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ do: "exit" as const }) },
);

function retentionOf(options: { maxBytes?: number; dropOldest?: boolean; spill: boolean }): Retention {
  return {
    maxBytes: options.maxBytes ?? 256 * 1024 * 1024,
    dropOldest: options.dropOldest ?? false,
    spillFolder: options.spill ? mkdtempSync(join(folder, "log-")) : undefined,
    shared: { usedBytes: 0, maxBytes: 2 ** 31 },
  };
}

/** What has been appended and not yet read, by stream, and what its reader has got. */
interface Model {
  /** Every byte ever appended, in order, in pieces with their streams. */
  readonly appended: { readonly stream: OutputStream; readonly bytes: Buffer }[];
  /** The same, as read. */
  readonly read: { readonly stream: OutputStream; readonly bytes: Buffer }[];
  cursor: number;
  appendedBytes: number;
  exited: boolean;
  sawExit: boolean;
}

let counter = 0;
/** Bytes that differ from all others before: a counter in every word. */
function piece(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(counter++, at);
  for (let at = size - size % 4; at < size; at++) bytes[at] = counter++;
  return bytes;
}

function sameText(pieces: Model["appended"]): string {
  const streams = new Map<string, Buffer[]>();
  for (const { stream, bytes } of pieces) {
    const all = streams.get(stream) ?? [];
    streams.set(stream, all);
    all.push(bytes);
  }
  return [...streams].sort(([one], [other]) => one < other ? -1 : 1)
    .filter(([, all]) => all.some((bytes) => bytes.length > 0))
    .map(([stream, all]) => `${stream} ${Buffer.concat(all).toString("base64")}`).join("\n");
}

/** Reads the next event as a reader does that misses nothing. */
function readNext(log: OutputLog, model: Model): boolean {
  const event = log.next(model.cursor);
  if (!event) return false;
  assert.is(event.seq, model.cursor + 1, "no event is missing");
  model.cursor = event.seq;
  if (event.type === "output") model.read.push({ stream: event.stream, bytes: Buffer.from(event.bytes) });
  if (event.type === "exited") {
    assert.is(event.exitCode, 7);
    assert.not(model.sawExit);
    model.sawExit = true;
  }
  return true;
}

function typesOf(log: LogView): string[] {
  const types: string[] = [];
  for (let event = log.next(0); event; event = log.next(event.seq)) types.push(event.type);
  return types;
}

function emptyModel(): Model {
  return { appended: [], read: [], cursor: 0, appendedBytes: 0, exited: false, sawExit: false };
}

/** Plays the actions as a producer that waits for room, and a reader that delivers only what it has read. */
function play(log: OutputLog, model: Model, actions: readonly Action[], check: () => void): void {
  for (const each of actions) {
    switch (each.do) {
      case "append":
        for (let time = 0; time < each.times && !log.room(); time++) {
          const bytes = piece(Math.max(1, each.sixteenths * 4096));
          log.append(each.stream, bytes);
          model.appended.push({ stream: each.stream, bytes });
          model.appendedBytes += bytes.length;
        }
        break;
      case "exit":
        if (model.exited) break;
        model.exited = true;
        log.appendExited(EXIT);
        break;
      case "read":
        for (let count = 0; count < each.events && readNext(log, model); count++);
        break;
      case "deliver":
        log.deliver(Math.max(0, model.cursor - each.behind));
        break;
      case "attach":
        log.setAttached(each.attached);
    }
    check();
  }
}

for (const spill of [true, false]) {
  test(`nothing undelivered is lost, ${spill ? "with" : "without"} a spill folder`, () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const retention = retentionOf({ spill });
        const log = createOutputLog(retention);
        const model = emptyModel();
        play(log, model, actions, () => {
          assert.is(log.receivedBytes, model.appendedBytes);
          assert.ok(log.firstSeq <= log.deliveredSeq + 1, "what is not delivered is there");
          assert.ok(log.deliveredSeq <= model.cursor);
          assert.ok(log.lastSeq >= model.cursor);
          assert.ok(log.undeliveredBytes >= 0 && log.undeliveredBytes <= model.appendedBytes);
        });
        log.appendClosed();
        while (readNext(log, model));
        assert.is(model.cursor, log.lastSeq);
        assert.is(model.sawExit, model.exited);
        assert.is(sameText(model.read), sameText(model.appended));
        log.deliver(log.lastSeq);
        assert.is(log.undeliveredBytes, 0);
        assert.is(log.room(), undefined);
        log.dispose();
        assert.is(retention.shared.usedBytes, 0);
        assert.equal(typesOf(log.observed), model.exited ? ["exited", "closed"] : ["closed"]);
        if (retention.spillFolder !== undefined) assert.equal(readdirSync(retention.spillFolder), []);
      }),
      { numRuns: RUNS, seed },
    );
  });
}

test("what is undelivered can be read again from any place", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 30 }), fc.nat(), (actions, place) => {
      const log = createOutputLog(retentionOf({ spill: true }));
      const model = emptyModel();
      play(log, model, actions, () => {});
      while (readNext(log, model));
      const from = log.firstSeq - 1 + place % (log.lastSeq - log.firstSeq + 2);
      const again = emptyModel();
      again.cursor = from;
      while (readNext(log, again));
      assert.is(again.cursor, log.lastSeq);
      const sizes = again.read.reduce((sum, { bytes }) => sum + bytes.length, 0);
      const all = (pieces: Model["read"]) => Buffer.concat(pieces.map(({ bytes }) => bytes));
      assert.ok(all(again.read).equals(all(model.read).subarray(model.appendedBytes - sizes)));
      log.dispose();
    }),
    { numRuns: RUNS, seed },
  );
});

test("a producer that waits for room is woken as soon as there is some, and at the end", async () => {
  const full = (retention: Retention, attached: boolean) => {
    const log = createOutputLog(retention);
    log.setAttached(attached);
    while (!log.room()) log.append("stdout", piece(64 * 1024));
    return log;
  };
  for (const attached of [true, false]) {
    for (const spill of [true, false]) {
      const options = { maxBytes: 4 * 1024 * 1024, spill };
      const log = full(retentionOf(options), attached);
      assert.ok(log.undeliveredBytes <= options.maxBytes + 64 * 1024);
      const room = log.room();
      for (let event = log.next(0); event; event = log.next(event.seq));
      log.deliver(log.lastSeq);
      await room;
      assert.is(log.room(), undefined);
      log.dispose();
      const other = full(retentionOf(options), attached);
      const waiting = other.room();
      other.dispose();
      await waiting;
    }
  }
});

test("memory does not grow with what is spilled", () => {
  const retention = retentionOf({ spill: true });
  const log = createOutputLog(retention);
  log.setAttached(false);
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 0; count < 1_000; count++) log.append("stdout", piece(64 * 1024));
  globalThis.gc?.();
  const growth = process.memoryUsage().arrayBuffers - before;
  assert.is(log.undeliveredBytes, 1_000 * 64 * 1024);
  assert.is(log.firstSeq, 1);
  assert.ok(growth < 40 * 1024 * 1024, `${growth} bytes more`);
  log.dispose();
});

test("drop-oldest drops only the oldest, and firstSeq tells", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), fc.boolean(), (actions, spill) => {
      const maxBytes = 1024 * 1024;
      const retention = retentionOf({ maxBytes, dropOldest: true, spill });
      const log = createOutputLog(retention);
      const model = emptyModel();
      let dropped = false;
      for (const each of actions) {
        if (each.do === "append") {
          for (let time = 0; time < each.times; time++) {
            const bytes = piece(Math.max(1, each.sixteenths * 4096));
            log.append(each.stream, bytes);
            model.appended.push({ stream: each.stream, bytes });
            model.appendedBytes += bytes.length;
          }
        } else if (each.do === "attach") log.setAttached(each.attached);
        else if (each.do === "exit" && !model.exited) {
          model.exited = true;
          log.appendExited(EXIT);
        }
        dropped ||= log.firstSeq > 1;
        assert.ok(log.undeliveredBytes <= 3.5 * maxBytes);
      }
      if (model.exited) assert.ok(log.exitSeq !== undefined && log.exit === EXIT);
      model.cursor = log.firstSeq - 1;
      while (readNext(log, model));
      assert.is(model.cursor, log.lastSeq);
      const kept = Buffer.concat(model.read.map(({ bytes }) => bytes));
      const all = Buffer.concat(model.appended.map(({ bytes }) => bytes));
      assert.ok(all.subarray(all.length - kept.length).equals(kept), "the newest output is kept, in order");
      if (!dropped) assert.is(kept.length, all.length);
      log.dispose();
      assert.is(retention.shared.usedBytes, 0);
    }),
    { numRuns: RUNS, seed },
  );
});

test("drop-oldest goes on behind an exit that nobody has received, and still tells of it", () => {
  const maxBytes = 1024 * 1024;
  const log = createOutputLog(retentionOf({ maxBytes, dropOldest: true, spill: false }));
  log.setAttached(false);
  log.append("stdout", Buffer.alloc(1024));
  log.appendExited(EXIT); // a background job goes on printing
  for (let block = 0; block < 200; block++) log.append("stdout", Buffer.alloc(64 * 1024));
  assert.ok(log.undeliveredBytes <= 3.5 * maxBytes, `${log.undeliveredBytes} bytes are kept`);
  assert.is(log.room(), undefined);
  assert.equal(log.next(0), { type: "exited", seq: 2, ...EXIT });
  assert.ok((log.next(2)?.seq ?? 0) > 3, "output behind it was dropped");
  log.dispose();
});

test("an exit and an end that come together are told of once, one after the other", () => {
  const log = createOutputLog(retentionOf({ spill: false }));
  log.append("stdout", Buffer.from("a"));
  let told = 0;
  log.subscribe(() => {
    told++;
    assert.ok(log.closed);
  });
  log.appendEnd(EXIT);
  assert.is(told, 1);
  assert.is(log.exitSeq, 2);
  assert.equal(log.next(1), { type: "exited", seq: 2, ...EXIT });
  assert.equal(log.next(2), { type: "closed", seq: 3 });
  assert.is(log.next(3), undefined);
  log.dispose();
});

test("output is encoded once for all who are told of it", () => {
  const log = createOutputLog(retentionOf({ spill: false }));
  const told: string[][] = [[], [], []];
  let encodings = 0;
  const { toString } = Buffer.prototype;
  Buffer.prototype.toString = function (this: Buffer, ...how: Parameters<Buffer["toString"]>) {
    if (how[0] === "base64") encodings++;
    return toString.apply(this, how);
  };
  try {
    const views = [log, log.observed, log.observed];
    views.forEach((view, index) => {
      let cursor = 0;
      view.subscribe(() => {
        for (let event = view.next(cursor); event; event = view.next(cursor)) {
          cursor = event.seq;
          if (event.type === "output") told[index]?.push(view.base64(event));
        }
      });
    });
    for (const text of ["one", "two", "three"]) log.append("stdout", Buffer.from(text));
  } finally {
    Buffer.prototype.toString = toString;
  }
  const expected = ["one", "two", "three"].map((text) => btoa(text));
  assert.equal(told, [expected, expected, expected]);
  assert.is(encodings, 3);
  log.dispose();
});

test("numbers that are lost elsewhere are skipped", () => {
  const log = createOutputLog(retentionOf({ spill: false }));
  log.appendEvent("stdout", Buffer.from("one"));
  log.skipTo(9);
  log.appendEvent("stdout", Buffer.from("ten"));
  assert.is(log.next(0)?.seq, 1);
  for (let after = 1; after < 10; after++) assert.is(log.next(after)?.seq, 10);
  assert.is(log.next(10), undefined);
  log.dispose();
});

test("an event that somebody has seen does not change any more", () => {
  const log = createOutputLog(retentionOf({ spill: false }));
  log.append("stdout", Buffer.from("a"));
  log.append("stdout", Buffer.from("b"));
  assert.is(log.lastSeq, 1);
  const seen = log.next(0);
  assert.is(seen?.type === "output" && Buffer.from(seen.bytes).toString(), "ab");
  log.append("stdout", Buffer.from("c"));
  assert.is(log.lastSeq, 2);
  log.append("stderr", Buffer.from("d"));
  assert.is(log.lastSeq, 3);
  log.dispose();
});

test("who observes every single byte brings the process no nearer to its limits", () => {
  const [log, unobserved] = [
    createOutputLog(retentionOf({ spill: true })),
    createOutputLog(retentionOf({ spill: true })),
  ];
  const pieces: string[] = [];
  const expected: string[] = [];
  let cursor = 0;
  const observe = () => {
    for (let event = log.observed.next(cursor); event; event = log.observed.next(cursor)) {
      assert.is(event.seq, cursor + 1);
      cursor = event.seq;
      if (event.type === "output") pieces.push(Buffer.from(event.bytes).toString());
    }
    assert.is(log.observed.lastSeq, cursor);
  };
  const stop = log.observed.subscribe(observe);
  for (const one of [log, unobserved]) one.setAttached(false);
  // Without an observer five bytes become one event.
  for (let count = 0; !unobserved.room(); count++) {
    assert.is(log.room(), undefined, `${count} bytes`);
    const text = String(count % 10);
    for (const one of [log, unobserved]) {
      one.append(count % 10 < 5 ? "stdout" : "stderr", Buffer.from(text));
    }
    expected.push(text);
    if (count < 1_000) assert.is(pieces.length, expected.length, "at once");
  }
  assert.is(unobserved.lastSeq, MAX_DETACHED_EVENTS);
  assert.ok(log.lastSeq > MAX_DETACHED_EVENTS + 0.9 * MAX_OBSERVER_EVENTS, `${log.lastSeq} events`);
  assert.ok(log.lastSeq <= MAX_DETACHED_EVENTS + MAX_OBSERVER_EVENTS, `${log.lastSeq} events`);
  assert.is(log.deliveredSeq, 0);
  log.deliver(log.lastSeq);
  assert.is(log.room(), undefined);
  log.append("stdout", Buffer.from("!"));
  log.appendExited(EXIT);
  log.appendClosed();
  assert.is(pieces.join(""), `${expected.join("")}!`);
  assert.is(cursor, log.lastSeq);
  stop();
  for (const one of [log, unobserved]) one.dispose();
});

test("who observes is told of an exit that is no longer retained", () => {
  const log = createOutputLog(retentionOf({ spill: false }));
  log.appendExited(EXIT);
  for (let count = 0; count < 40; count++) {
    log.append("stdout", piece(64 * 1024));
    log.deliver(log.lastSeq);
  }
  log.appendClosed();
  assert.ok(log.firstSeq > 1);
  assert.is(log.next(0)?.type, "output");
  assert.equal(log.observed.next(0), { type: "exited", seq: 1, ...EXIT });
  assert.is(log.observed.next(1)?.seq, log.firstSeq);
  log.dispose();
  assert.equal(typesOf(log.observed), ["exited", "closed"]);
});

test.run();
