// Two clients watch one process: one owns it, the others only look on, and matter to nobody.
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { type ProcessWire, remoteProcesses } from "../../src/process/remote.ts";
import { memoryRetention } from "../../src/process/retention.ts";
import { createSessionRegistry } from "../../src/session/registry.ts";
import type { Attachment, Session } from "../../src/session/session.ts";
import { MB } from "../faults/lines.ts";
import { codeOf } from "../harness/code_of.ts";
import { bytesWritten, isRunning, memoryOf, until, untilStill } from "../harness/proc.ts";
import { startServer, type TestServer } from "../harness/server.ts";
import { isObject, type JsonObject } from "../harness/wire_client.ts";
import { openRawClient, pidOf, type RawClient, type RawEvent, readOnce, refusalOf } from "./raw_client.ts";

/** Life of the sessions whose end is awaited: long enough for what comes before it on a busy machine. */
const TTL_MS = 3_000;
/** Observations of one session (DEFAULT_MAX_OBSERVATIONS). */
const MOST = 256;
/** For each line of its input it prints so many numbered lines, 108 kB. */
const LINES = 20_000;
const PRINTER = [
  "/bin/sh",
  "-c",
  `while read -r n; do seq $((n * ${LINES} + 1)) $(((n + 1) * ${LINES})); done; exit 3`,
];
/** A process of which nothing comes for so long stands still. */
const SILENCE_MS = 20_000;

let server: TestServer;
test.before(async () => {
  server = await startServer();
});
test.after(async () => {
  await server.stop();
});

/** A client that remembers what it got of each process. */
interface Watcher {
  readonly client: RawClient;
  /** False: what comes is not acknowledged. */
  acknowledges: boolean;
  of(name: string): Seen;
}

/** What came of one process. */
interface Seen {
  readonly events: RawEvent[];
  readonly lost: { readonly fromSeq: number; readonly toSeq: number }[];
  /** All of the output. */
  readonly text: string;
  readonly bytes: number;
  /** Event numbers that are missing before those that came, and have not been told. */
  readonly holes: number[];
  readonly lastSeq: number;
  /** Resolves when it is so. */
  until(what: string, check: (seen: Seen) => boolean): Promise<void>;
  readonly ended: Promise<void>;
}

/** @param keepsBytes false for streams that would not fit into memory */
async function watcher(
  initialize: JsonObject = { acknowledgesOutput: true },
  keepsBytes = true,
): Promise<Watcher> {
  const all = new Map<string, Seen & { look(): void }>();
  const of = (name: string) => {
    const found = all.get(name) ?? createSeen();
    all.set(name, found);
    return found;
  };
  const self = { acknowledges: initialize["acknowledgesOutput"] === true };
  const client = await openRawClient(server.url, {
    initialize,
    onEvent(event, from) {
      const seen = of(event.processId);
      seen.events.push(keepsBytes ? event : { ...event, bytes: Buffer.alloc(0) });
      if (self.acknowledges) from.acknowledge(event.processId, event.seq);
      seen.look();
    },
    onOther(method, params) {
      if (method !== "process/outputLost") return;
      const seen = of(String(params["processId"]));
      seen.lost.push({ fromSeq: Number(params["fromSeq"]), toSeq: Number(params["toSeq"]) });
      seen.look();
    },
  });
  return Object.assign(self, { client, of });
}

function createSeen(): Seen & { look(): void } {
  const events: RawEvent[] = [];
  const lost: { fromSeq: number; toSeq: number }[] = [];
  const looking = new Set<() => void>();
  const waitUntil = (what: string, check: (seen: Seen) => boolean) =>
    new Promise<void>((ok, fail) => {
      const timer = setTimeout(
        () =>
          fail(new Error(`${what}: not so; the last event is ${seen.lastSeq}, lost ${JSON.stringify(lost)}`)),
        SILENCE_MS,
      );
      const look = () => {
        timer.refresh();
        if (!check(seen)) return;
        clearTimeout(timer);
        looking.delete(look);
        ok();
      };
      looking.add(look);
      look();
    });
  const seen = {
    events,
    lost,
    get text() {
      return Buffer.concat(events.map(({ bytes }) => bytes)).toString();
    },
    get bytes() {
      return events.reduce((sum, { bytes }) => sum + bytes.length, 0);
    },
    get holes() {
      const isLost = (seq: number) => lost.some(({ fromSeq, toSeq }) => fromSeq <= seq && seq <= toSeq);
      return events.flatMap(({ seq }, index) => {
        const missing = [];
        const before = events[index - 1]?.seq;
        for (let each = (before ?? seq - 1) + 1; each < seq; each++) if (!isLost(each)) missing.push(each);
        return missing;
      });
    },
    get lastSeq() {
      return events.at(-1)?.seq ?? 0;
    },
    until: waitUntil,
    get ended() {
      return waitUntil("the end", () => events.at(-1)?.type === "closed");
    },
    look() {
      for (const look of [...looking]) look();
    },
  };
  return seen;
}

async function withWatchers(
  check: (open: (initialize?: JsonObject, keepsBytes?: boolean) => Promise<Watcher>) => Promise<void>,
): Promise<void> {
  const opened: Watcher[] = [];
  try {
    await check(async (initialize, keepsBytes) => {
      const one = await watcher(initialize, keepsBytes);
      opened.push(one);
      return one;
    });
  } finally {
    await Promise.all(opened.map(({ client }) => client.terminate()));
  }
}

/** Starts the printer. */
async function startPrinter(owner: Watcher, name: string): Promise<void> {
  await owner.client.start(name, PRINTER, { pipeStdin: true });
}

/** Has it print the next lines, and waits until everybody has them. */
async function print(owner: Watcher, name: string, turn: number, everybody: readonly Seen[]): Promise<void> {
  const chunk = Buffer.from(`${turn}\n`).toString("base64");
  await owner.client.call("process/write", { processId: name, chunk, writeId: `${turn}` });
  const last = `\n${(turn + 1) * LINES}\n`;
  const has = ({ events }: Seen) => {
    const tail = Buffer.concat(events.slice(-4).map(({ bytes }) => bytes)).toString();
    return tail.endsWith(last);
  };
  await Promise.all(everybody.map((seen) => seen.until(`lines of turn ${turn}`, has)));
}

const closeStdin = (owner: Watcher, name: string) =>
  owner.client.call("process/closeStdin", { processId: name });

/** Makes a name known in the observer's session. */
function observe(observer: Watcher, owner: Watcher, more: JsonObject = {}): Promise<JsonObject> {
  const sessionId = owner.client.sessionId;
  return observer.client.call("process/observe", { sessionId, processId: "p", ...more });
}

/** What came, in a form that is short enough for the message of a failure. */
const same = (seen: Seen) =>
  seen.events.map(({ type, seq, bytes }) => {
    const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
    return `${type} ${seq}: ${bytes.length} ${digest}`;
  });

test("the owner and three observers get the same events", () =>
  withWatchers(async (open) => {
    const owner = await open();
    const [first, second, plain] = [await open(), await open(), await open({})];
    await startPrinter(owner, "p");
    const answer = await observe(first, owner);
    assert.equal(answer, {
      processId: "p",
      argv: PRINTER,
      tty: false,
      firstSeq: 1,
      exitCode: null,
    });
    assert.equal((await observe(plain, owner, { as: "q" }))["processId"], "q");
    const everybody = [owner.of("p"), first.of("p"), plain.of("q")];
    for (let turn = 0; turn < 20; turn++) await print(owner, "p", turn, everybody);
    // A late one begins after what it says it has.
    const afterSeq = owner.of("p").lastSeq - 2;
    assert.is((await observe(second, owner, { afterSeq }))["firstSeq"], afterSeq + 1);
    everybody.push(second.of("p"));
    for (let turn = 20; turn < 25; turn++) await print(owner, "p", turn, everybody);
    await closeStdin(owner, "p");
    await Promise.all(everybody.map(({ ended }) => ended));
    const expected = same(owner.of("p"));
    assert.is(owner.of("p").text, Array.from({ length: 25 * LINES }, (_, each) => `${each + 1}\n`).join(""));
    assert.equal(same(first.of("p")), expected);
    assert.equal(same(plain.of("q")), expected);
    assert.equal(same(second.of("p")), expected.slice(afterSeq));
    for (const seen of everybody) assert.equal(seen.lost, []);
  }));

test("observers that have stopped reading slow nobody, and are told what they lost", () =>
  withWatchers(async (open) => {
    const size = 100 * MB;
    const start = (owner: Watcher) =>
      owner.client.start("p", ["/bin/sh", "-c", `read -r x; head -c ${size} /dev/zero; exit 4`], {
        pipeStdin: true,
      });
    const stream = async (owner: Watcher) => {
      const began = performance.now();
      await owner.client.call("process/write", { processId: "p", chunk: "Cg==", writeId: "1" });
      await owner.of("p").ended;
      return performance.now() - began;
    };
    const alone = await open(undefined, false);
    await start(alone);
    const msAlone = await stream(alone);
    const peakAlone = memoryOf(server.pid, "VmHWM");

    const owner = await open(undefined, false);
    const [stopped, plain] = [await open(), await open({})];
    stopped.acknowledges = false;
    await start(owner);
    await observe(stopped, owner);
    await observe(plain, owner);
    stopped.client.pause();
    plain.client.pause();
    const ms = await stream(owner);
    const peak = memoryOf(server.pid, "VmHWM");
    console.log(
      `100 MB alone: ${msAlone.toFixed(0)} ms, ${peakAlone.toFixed(0)} MB; ` +
        `with two stopped observers: ${ms.toFixed(0)} ms, ${peak.toFixed(0)} MB`,
    );
    assert.equal(owner.of("p").lost, []);
    assert.equal(owner.of("p").holes, []);
    assert.ok(peak - peakAlone < 40, `the server's memory grew by ${peak - peakAlone} MB`);

    stopped.acknowledges = true;
    stopped.client.resume();
    plain.client.resume();
    await stopped.of("p").until("a window is used up", ({ bytes }) => bytes > 700_000);
    stopped.client.acknowledge("p", stopped.of("p").lastSeq);
    for (const seen of [stopped.of("p"), plain.of("p")]) {
      await seen.ended;
      assert.is(seen.lastSeq, owner.of("p").lastSeq);
      assert.equal(seen.events.filter(({ type }) => type === "exited").length, 1);
      assert.ok(seen.bytes < 10 * MB, `${seen.bytes} bytes were kept for an observer`);
    }
    assert.equal(stopped.of("p").holes, []);
    assert.ok(stopped.of("p").lost.length > 0, "it was told");
    assert.equal(plain.of("p").lost, [], "the plain wire does not know the message");
    assert.ok(plain.of("p").holes.length > 0);
  }));

test("an observer changes nothing", () =>
  withWatchers(async (open) => {
    const [owner, observer] = [await open(), await open()];
    await startPrinter(owner, "p");
    await observe(observer, owner, { as: "seen" });
    const calls: [string, JsonObject][] = [
      ["process/write", { chunk: "Cg==", writeId: "1" }],
      ["process/closeStdin", {}],
      ["process/signal", { signal: "SIGKILL" }],
      ["process/signal", { signal: "interrupt" }],
      ["process/resize", { size: { rows: 10, cols: 10 } }],
      ["process/terminate", {}],
      ["process/terminate", { graceMs: 0 }],
    ];
    for (const [method, params] of calls) {
      const refusal = await refusalOf(observer.client.call(method, { processId: "seen", ...params }));
      assert.equal(refusal, { code: -32600, message: "process seen is only observed" }, method);
    }
    // And under the name that it has with its owner nothing is known here.
    assert.equal(await observer.client.call("process/terminate", { processId: "p" }), { running: false });
    await print(owner, "p", 0, [owner.of("p"), observer.of("seen")]);
    const read = await readOnce(observer.client, { processId: "seen", afterSeq: 0 });
    assert.is(Buffer.concat(read.chunks.map(({ bytes }) => bytes)).toString(), owner.of("p").text);
    await closeStdin(owner, "p");
    await Promise.all([observer.of("seen").ended, owner.of("p").ended]);
    assert.equal(same(observer.of("seen")), same(owner.of("p")));
  }));

test("what is not there cannot be observed, and a name is given once", () =>
  withWatchers(async (open) => {
    const [owner, other, observer] = [await open(), await open(), await open()];
    const message = async (promise: Promise<unknown>) => {
      const refusal = await refusalOf(promise);
      assert.is(refusal.code, -32600);
      return refusal.message;
    };
    for (const sessionId of ["", "x", crypto.randomUUID()]) {
      const asked = observer.client.call("process/observe", { sessionId, processId: "p" });
      assert.is(await message(asked), `unknown session id ${sessionId}`);
    }
    assert.is(await message(observe(observer, owner)), "unknown process id p");
    for (const each of [owner, other, observer]) await startPrinter(each, "p");
    assert.is(await message(observe(observer, owner)), "process p already exists", "a process of its own");
    const first = await observe(observer, owner, { as: "seen" });
    assert.equal(await observe(observer, owner, { as: "seen" }), first, "asked again");
    assert.is(await message(observe(observer, other, { as: "seen" })), "process seen already exists");
    assert.is(await message(observer.client.start("seen", ["true"])), "process seen already exists");
    // A process of its own can be observed as well, an observation cannot.
    await observe(observer, observer, { as: "mirror" });
    assert.is(
      await message(observe(other, observer, { processId: "seen", as: "x" })),
      "unknown process id seen",
    );
    await print(owner, "p", 0, [observer.of("seen")]);
    assert.equal(await observe(observer, owner, { as: "seen" }), first, "asked again");
    for (const each of [owner, other, observer]) await closeStdin(each, "p");
    await Promise.all([owner.of("p").ended, observer.of("seen").ended]);
    await Promise.all([observer.of("p").ended, observer.of("mirror").ended]);
    assert.equal(same(observer.of("seen")), same(owner.of("p")), "asked again it came once");
    assert.equal(same(observer.of("mirror")), same(observer.of("p")));
  }));

test("an observer's connection is cut and resumed", () =>
  withWatchers(async (open) => {
    const [owner, observer] = [await open(), await open()];
    await startPrinter(owner, "p");
    await observe(observer, owner);
    await print(owner, "p", 0, [observer.of("p")]);
    const resumeSessionId = observer.client.sessionId;
    const known = observer.of("p").lastSeq - 1;
    await observer.client.terminate();
    await print(owner, "p", 1, [owner.of("p")]);
    const again = await open({ acknowledgesOutput: true, resumeSessionId, cursors: { p: known } });
    await print(owner, "p", 2, [owner.of("p"), again.of("p")]);
    assert.equal(same(again.of("p")), same(owner.of("p")).slice(known));
    await again.client.terminate();
    // The answer was lost with the connection: it does not know the name yet, and asks again.
    const third = await open({ acknowledgesOutput: true, resumeSessionId });
    await print(owner, "p", 3, [owner.of("p")]);
    assert.equal(third.of("p").events, []);
    assert.is((await observe(third, owner))["firstSeq"], 1);
    await closeStdin(owner, "p");
    await Promise.all([third.of("p").ended, owner.of("p").ended]);
    assert.equal(same(third.of("p")), same(owner.of("p")));
  }));

test("an observer of the plain wire is resumed", () =>
  withWatchers(async (open) => {
    const [owner, observer] = [await open(), await open({})];
    await startPrinter(owner, "p");
    await observe(observer, owner);
    await print(owner, "p", 0, [observer.of("p")]);
    const afterSeq = observer.of("p").lastSeq;
    await observer.client.terminate();
    await print(owner, "p", 1, [owner.of("p")]);
    const again = await open({ resumeSessionId: observer.client.sessionId });
    const read = await readOnce(again.client, { processId: "p", afterSeq });
    assert.is(read.nextSeq, owner.of("p").lastSeq + 1);
    await print(owner, "p", 2, [again.of("p")]);
    await closeStdin(owner, "p");
    await Promise.all([again.of("p").ended, owner.of("p").ended]);
    assert.equal(same(again.of("p")), same(owner.of("p")).slice(read.nextSeq - 1));
  }));

test("a process whose owner is away can be watched, and comes to an end with its session", () =>
  withWatchers(async (open) => {
    const owner = await open({ acknowledgesOutput: true, sessionTtlMs: TTL_MS });
    const [observer, stopped] = [await open(), await open()];
    await owner.client.start("p", [
      "/bin/sh",
      "-c",
      `head -c ${8 * MB} /dev/zero; while sleep 0.02; do date; done`,
    ]);
    stopped.acknowledges = false;
    await observe(stopped, owner);
    await owner.of("p").until("more than a window", ({ bytes }) => bytes > 8 * MB);
    await observe(observer, owner);
    const pid = await pidOf(owner.client, "p");
    await owner.client.terminate();
    const { lastSeq } = observer.of("p");
    await observer.of("p").until("it goes on", (seen) => seen.lastSeq > lastSeq + 5);
    await observer.of("p").ended;
    assert.not(isRunning(pid));
    assert.equal(observer.of("p").events.slice(-2).map(({ type }) => type), ["exited", "closed"]);
    assert.equal(observer.of("p").holes, []);
    // Its log is gone by now: this one gets the end and nothing else.
    const gone = () => refusalOf(observe(observer, owner, { as: "x" }));
    assert.match((await gone()).message, /^unknown session id /);
    await new Promise((wake) => setTimeout(wake, 200));
    stopped.acknowledges = true;
    stopped.client.acknowledge("p", stopped.of("p").lastSeq);
    await stopped.of("p").ended;
    assert.equal(stopped.of("p").holes, []);
    assert.is(stopped.of("p").lost.length, 1);
    assert.equal(stopped.of("p").events.slice(-2).map(({ type }) => type), ["exited", "closed"]);
    assert.is(stopped.of("p").lastSeq, observer.of("p").lastSeq);
  }));

test("what observers have, and whether they are there, counts for nobody else", () =>
  withWatchers(async (open) => {
    const owner = await open({ acknowledgesOutput: true, sessionTtlMs: 60_000 });
    const [observer, plain] = [await open(undefined, false), await open({}, false)];
    owner.acknowledges = false;
    // More than an attached process may leave undelivered, and more than is kept of what is delivered.
    await owner.client.start("p", ["/bin/sh", "-c", `head -c ${10 * MB} /dev/zero; exit 7`]);
    await observe(observer, owner);
    await observe(plain, owner);
    const pid = await pidOf(owner.client, "p");
    await owner.of("p").until("it is held back", ({ bytes }) => bytes > 700_000);
    await untilStill(() => bytesWritten(pid));
    assert.ok(isRunning(pid), "its owner does not take more, whoever else does");
    const resumeSessionId = owner.client.sessionId;
    await owner.client.terminate();
    // An observer that comes and goes is not the connection that the process has to wait for.
    await plain.client.terminate();
    const again = await open({ resumeSessionId: plain.client.sessionId }, false);
    await observer.of("p").ended;
    assert.equal(observer.of("p").holes, []);
    assert.equal(observer.of("p").lost, []);
    await again.client.terminate();
    const back = await open({ acknowledgesOutput: true, resumeSessionId, cursors: { p: 0 } });
    await back.of("p").ended;
    assert.equal(back.of("p").lost, []);
    assert.equal(back.of("p").holes, []);
    assert.is(back.of("p").events[0]?.seq, 1);
    assert.is(back.of("p").bytes, 10 * MB);
  }));

test("the answer comes before the first event", () =>
  withWatchers(async (open) => {
    const owner = await open();
    await owner.client.start("p", ["echo", "here"]);
    await owner.of("p").ended;
    const observer = await server.connect();
    await observer.call("process/observe", { sessionId: owner.client.sessionId, processId: "p" });
    await observer.collect("p");
    const kinds = observer.messages.map(({ message }) => message["method"] ?? `answer ${message["id"]}`);
    assert.equal(kinds, ["answer 1", "answer 2", "process/output", "process/exited", "process/closed"]);
    await observer.close();
  }));

test("after unobserve nothing comes, and the name is free", () =>
  withWatchers(async (open) => {
    const [owner, observer] = [await open(), await open()];
    await startPrinter(owner, "p");
    await observe(observer, owner);
    await print(owner, "p", 0, [observer.of("p")]);
    assert.equal(await observer.client.call("process/unobserve", { processId: "p" }), {});
    const { lastSeq } = observer.of("p");
    assert.is(
      (await refusalOf(readOnce(observer.client, { processId: "p" }))).message,
      "unknown process id p",
    );
    await print(owner, "p", 1, [owner.of("p")]);
    await observer.client.call("process/list", null);
    assert.is(observer.of("p").lastSeq, lastSeq);
    assert.equal(await observer.client.call("process/unobserve", { processId: "p" }), {}, "there is none");
    assert.equal(await owner.client.call("process/unobserve", { processId: "p" }), {}, "its own is none");
    await observe(observer, owner, { afterSeq: lastSeq });
    await closeStdin(owner, "p");
    await Promise.all([observer.of("p").ended, owner.of("p").ended]);
    assert.equal(same(observer.of("p")), same(owner.of("p")), "before and after");
  }));

test("a process that has closed can be observed as long as it is kept", () =>
  withWatchers(async (open) => {
    const owner = await open({ acknowledgesOutput: true, sessionTtlMs: TTL_MS });
    const [observer, plain] = [await open(), await open({ sessionTtlMs: TTL_MS })];
    await owner.client.start("p", ["/bin/sh", "-c", "echo kept; exit 5"]);
    await owner.of("p").ended;
    for (const one of [observer, plain]) {
      const answer = await observe(one, owner);
      assert.equal({ firstSeq: answer["firstSeq"], exitCode: answer["exitCode"] }, {
        firstSeq: 1,
        exitCode: 5,
      });
      await one.of("p").ended;
      assert.equal(same(one.of("p")), same(owner.of("p")));
    }
    // Who has acknowledged the end has done with it; who cannot, says so, or it is forgotten in time.
    assert.match(
      (await refusalOf(readOnce(observer.client, { processId: "p" }))).message,
      /^unknown process id/,
    );
    assert.is((await readOnce(plain.client, { processId: "p" })).exitCode, 5);
    assert.equal(await plain.client.call("process/terminate", { processId: "p" }), { running: false });
    assert.match(
      (await refusalOf(readOnce(plain.client, { processId: "p" }))).message,
      /^unknown process id/,
    );
    await observe(plain, owner);
    await untilUnknown(() => readOnce(plain.client, { processId: "p" }));
    await untilUnknown(() => observe(plain, owner, { as: crypto.randomUUID() }));
  }));

/** Asks until the process is forgotten. */
async function untilUnknown(ask: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + TTL_MS + SILENCE_MS;
  for (;;) {
    try {
      await ask();
    } catch (error) {
      assert.match(String(error), "unknown process id p");
      return;
    }
    assert.ok(performance.now() < deadline, "it is not forgotten");
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

test("an exit that is older than what is retained is in the answer", () =>
  withWatchers(async (open) => {
    const [owner, observer] = [await open(), await open()];
    await owner.client.start("p", ["/bin/sh", "-c", `(sleep 0.3; head -c ${4 * MB} /dev/zero) & exit 5`]);
    await owner.of("p").ended;
    const answer = await observe(observer, owner);
    assert.is(answer["exitCode"], 5);
    assert.ok(Number(answer["firstSeq"]) > 2);
    await observer.of("p").ended;
    assert.is(observer.of("p").events[0]?.seq, answer["firstSeq"]);
    assert.equal(observer.of("p").holes, []);
  }));

test("a session observes so many processes and not one more", () =>
  withWatchers(async (open) => {
    const [owner, observer] = [await open(), await open()];
    await startPrinter(owner, "p");
    for (let count = 0; count < MOST; count++) await observe(observer, owner, { as: `p${count}` });
    const refusal = await refusalOf(observe(observer, owner, { as: "more" }));
    assert.equal(refusal, {
      code: -32600,
      message: `this session has ${MOST} observations already: end one, or raise --max-observations`,
    });
    await observe(observer, owner, { as: "p0" }); // it has that one
    await observer.client.call("process/unobserve", { processId: "p0" });
    await observe(observer, owner, { as: "more" });
    await closeStdin(owner, "p");
    await observer.of("more").ended;
    // The end has been acknowledged everywhere: all places are free.
    await observer.of(`p${MOST - 1}`).ended;
    await owner.client.start("q", ["sleep", "600"]);
    for (let count = 0; count < MOST; count++) {
      await observe(observer, owner, { processId: "q", as: `p${count}` });
    }
    await owner.client.call("process/terminate", { processId: "q" });
    await owner.of("q").ended;
  }));

/** A connection that keeps nothing. */
function silentConnection(acknowledges: boolean): Attachment {
  return {
    acknowledges,
    push: () => 100,
    together: (action) => action(),
    lost: () => {},
    ping: () => {},
    congested: false,
    onDrain: () => {},
    evict: () => {},
  };
}

test("an observation leaves nothing behind, whoever ends it", async () => {
  const registry = createSessionRegistry({
    sessionTtlMs: 200,
    maxSessionTtlMs: 60_000,
    takeOver: true,
    retention: memoryRetention(),
  });
  try {
    const owner = registry.open(silentConnection(true), undefined);
    const env = { PATH: "/usr/bin:/bin", EXEC_SERVER_TEST_MARK: process.env["EXEC_SERVER_TEST_MARK"] ?? "" };
    const start = async (id: string) => {
      const started = await owner.processes.start({
        id,
        argv: ["sleep", "600"],
        cwd: "/",
        env,
        pipeStdin: false,
        tty: false,
      });
      owner.watch(started);
      let listeners = 0;
      const { subscribe } = started.log.observed;
      Object.assign(started.log.observed, {
        subscribe(listener: () => void) {
          listeners++;
          const stop = subscribe(listener);
          return () => void (listeners--, stop());
        },
      });
      return { started, listeners: () => listeners };
    };
    const { started, listeners } = await start("p");
    const begin = (session: Session, name = "x") => {
      const request = { sessionId: owner.id, processId: "p", name, afterSeq: undefined };
      session.observations.begin(request, () => registry.find(owner.id, "p"));
      session.observations.answered(name);
    };
    const connections = [silentConnection(true), silentConnection(false)] as const;
    const [observer, plain] = connections.map((one) => registry.open(one, undefined));
    if (!observer || !plain) throw new Error("there are two");
    begin(observer);
    begin(observer); // the same again
    assert.is(listeners(), 1);
    observer.observations.end("x");
    assert.is(listeners(), 0);
    begin(observer);
    begin(observer, "y");
    begin(plain);
    assert.is(listeners(), 3);
    registry.detach(observer, connections[0]);
    assert.is(listeners(), 3, "it may be resumed");
    await until("the observer's session is over", () => listeners() === 1);

    const other = registry.open(silentConnection(true), undefined);
    begin(other);
    assert.is(listeners(), 2);
    const ending = started.terminate();
    await started.ended; // at once: it is kept for 200 ms only
    assert.is(listeners(), 0);
    assert.ok(other.observations.get("x"), "its end has not been acknowledged");
    assert.ok(plain.observations.get("x"));
    other.acknowledge("x", started.log.lastSeq);
    assert.is(other.observations.get("x"), undefined);
    await until("it is forgotten", () => plain.observations.get("x") === undefined);
    await ending;
  } finally {
    await registry.close();
  }
});

test("a program observes with the same handle as that of its own processes", async () => {
  await using owner = await Environment.connect(server.url);
  await using observer = await Environment.connect(server.url);
  const own = await owner.processes.start({ argv: PRINTER, pipeStdin: true });
  const sessionId = owner.sessionId ?? "";
  const seen = await observer.processes.observe(sessionId, own.id);
  assert.not(seen.id === own.id);
  const texts = Promise.all([new Response(own.stdout).text(), new Response(seen.stdout).text()]);
  for (
    const refused of [
      seen.signal("SIGTERM"),
      seen.terminate(),
      seen.resize({ rows: 1, cols: 1 }),
      seen.stdin.getWriter().write(new Uint8Array(1)),
    ]
  ) assert.is(await codeOf(refused), "INVALID_REQUEST");
  const input = own.stdin.getWriter();
  for (let turn = 0; turn < 3; turn++) await input.write(Buffer.from(`${turn}\n`));
  await input.close();
  assert.equal(await seen.wait(), await own.wait());
  const [ownText, seenText] = await texts;
  assert.ok(ownText.endsWith(`\n${3 * LINES}\n`));
  assert.is(seenText, ownText);
  assert.is(await codeOf(observer.processes.observe(crypto.randomUUID(), own.id)), "UNKNOWN_SESSION");
  assert.is(await codeOf(observer.processes.observe(sessionId, "x")), "INVALID_REQUEST");
  await using here = Environment.local();
  assert.is(await codeOf(here.processes.observe(sessionId, own.id)), "INVALID_REQUEST");
});

test("a program that observes and reads late sees the gap in the numbers", async () => {
  await using owner = await Environment.connect(server.url);
  await using observer = await Environment.connect(server.url);
  const own = await owner.processes.start({
    argv: ["/bin/sh", "-c", `read -r x; head -c ${20 * MB} /dev/zero; exit 6`],
    pipeStdin: true,
  });
  const seen = await observer.processes.observe(owner.sessionId ?? "", own.id);
  const events = seen.events()[Symbol.asyncIterator]();
  const stdout = codeOf(readToEnd(seen.stdout));
  const input = own.stdin.getWriter();
  await input.write(Buffer.from("\n"));
  assert.is((await own.wait()).exitCode, 6);
  let [last, missing] = [0, 0];
  const types = new Set<string>();
  for (let next = await events.next(); !next.done; next = await events.next()) {
    missing += next.value.seq - last - 1;
    last = next.value.seq;
    types.add(next.value.type);
  }
  assert.is(await stdout, "OUTPUT_LOST", "a stream cannot tell of a gap");
  assert.ok(missing > 0);
  assert.equal([...types], ["output", "exited", "closed"]);
  assert.is((await seen.wait()).exitCode, 6);
});

test("what a program is sent before it has handled the answer is not lost on it", async () => {
  let answer: (result: unknown) => void = () => {};
  let name = "";
  const wire: ProcessWire = {
    call: (_method, params) => {
      if (isObject(params)) name = String(params["as"]);
      return new Promise((resolve) => answer = resolve);
    },
    can: () => true,
    notify: () => {},
    hold: () => {},
  };
  const processes = remoteProcesses(wire, () => "/");
  const asked = processes.observe(crypto.randomUUID(), "p");
  const output = (seq: number) =>
    processes.receive("process/output", { processId: name, seq, stream: "stdout", chunk: "eA==" });
  assert.equal(processes.cursors(), {}, "its server is asked again instead");
  output(501);
  processes.receive("process/outputLost", { processId: name, fromSeq: 502, toSeq: 600 });
  output(601);
  processes.receive("process/outputLost", { processId: name, fromSeq: 602, toSeq: 603 });
  processes.receive("process/closed", { processId: name, seq: 604 });
  answer({ processId: name, argv: ["x"], tty: false, firstSeq: 501, exitCode: 9 });
  const seen = await asked;
  const numbers = [];
  for await (const { seq } of seen.events()) numbers.push(seq);
  assert.equal(numbers, [501, 601, 604]);
  assert.is((await seen.wait()).exitCode, 9, "an exit among what is lost");
  assert.equal(processes.cursors(), {});
});

async function readToEnd(stream: ReadableStream<Uint8Array>): Promise<void> {
  for await (const _ of stream);
}

test.run();
