// Breaks the connections of a client again and again, in every way that tests/faults/proxy.ts knows, while processes
// print, read and are taken over; every byte is checked. The schedule comes from a seed that is printed first.
//
//   node --import tsx scripts/soak.ts [--seconds N] [--seed S]
//
// Exits with 1 and the seed when something is wrong.
import process from "node:process";
import { parseArgs } from "node:util";
import { Environment, ExecServerError, type RemoteOptions } from "../mod.ts";
import {
  createDigester,
  digestOf,
  digestOfLines,
  linesFor,
  MB,
  numberedLines,
  printLines,
} from "../tests/faults/lines.ts";
import { type Proxy, startProxy } from "../tests/faults/proxy.ts";
import { createRandom, type Random } from "../tests/faults/random.ts";
import { memoryOf } from "../tests/harness/proc.ts";
import { readText } from "../tests/harness/read_process.ts";
import { startServer } from "../tests/harness/server.ts";

/** Longest job; its share of time is what a schedule needs to hit everything in it. */
const MOST_BYTES = 20 * MB;
const MAX_SERVER_MB = 250;
const JOBS_AT_ONCE = 4;
/** Nothing may take longer; a job that stands still is a failure. */
const JOB_LIMIT_MS = 120_000;

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "60" }, seed: { type: "string" } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const until = performance.now() + Number(values.seconds) * 1000;
const counts = new Map<string, number>();
const count = (what: string, by = 1) => void counts.set(what, (counts.get(what) ?? 0) + by);

const wait = (ms: number) => new Promise<void>((wake) => setTimeout(wake, ms));

/** Faults until the time is over. */
async function breakThings(proxy: Proxy, random: Random, over: () => boolean): Promise<void> {
  while (!over()) {
    const fault = random.pick(
      "cut",
      "cut",
      "close",
      "mid-frame",
      "stall",
      "delay",
      "drip",
      "blackhole",
      "refuse",
    );
    count(fault);
    switch (fault) {
      case "cut":
        proxy.cut();
        break;
      case "close":
        proxy.close();
        break;
      case "mid-frame":
        await Promise.race([proxy.cutAfter(random.below(MB), random.pick("up", "down")), wait(1_000)]);
        break;
      case "stall":
        proxy.stall(random.pick("up", "down", "both"));
        await wait(random.below(500));
        proxy.resume();
        break;
      case "delay":
        proxy.delay(random.below(20));
        await wait(random.below(500));
        proxy.resume();
        break;
      case "drip":
        proxy.drip(1 + random.below(2_000));
        await wait(random.below(500));
        proxy.resume();
        break;
      case "blackhole":
        // The client would find out after 45 s; a new connection of its own is what it gets here.
        proxy.blackhole();
        await wait(random.below(500));
        proxy.bury();
        break;
      case "refuse":
        proxy.refuse(true);
        proxy.cut();
        await wait(random.below(1_000));
        proxy.refuse(false);
    }
    await wait(random.below(random.pick(20, 200, 1_000)));
  }
}

/** The first connection of an environment is not made again by itself. */
async function connect(url: string, options: RemoteOptions = {}): Promise<Environment> {
  for (;;) {
    try {
      return await Environment.connect(url, options);
    } catch (error) {
      const isBroken = error instanceof ExecServerError &&
        ["CONNECT_FAILED", "DISCONNECTED", "TIMEOUT"].includes(error.code);
      if (!isBroken) throw error;
      count("could not connect");
      await wait(50);
    }
  }
}

async function printJob(there: Environment, random: Random): Promise<void> {
  const lines = linesFor(1 + random.below(MOST_BYTES));
  const { exitCode, bytes, sha256 } = await digestOf(
    await there.processes.start({ argv: printLines(lines) }),
  );
  const expected = digestOfLines(lines);
  if (exitCode !== 0 || bytes !== expected.bytes || sha256 !== expected.sha256) {
    throw new Error(`seq 1 ${lines}: ${bytes} bytes, exit code ${exitCode}; ${expected.bytes} were expected`);
  }
  count("MB printed", bytes / MB);
}

async function inputJob(there: Environment, random: Random): Promise<void> {
  const hashing = await there.processes.start({ argv: ["sha256sum"], pipeStdin: true });
  const answer = readText(hashing.stdout);
  const sent = createDigester();
  const writer = hashing.stdin.getWriter();
  for (const piece of numberedLines(linesFor(1 + random.below(MOST_BYTES / 2)))) {
    sent.add(piece);
    await writer.write(piece);
  }
  await writer.close();
  const text = await answer;
  if (text !== `${sent.result().sha256}  -\n`) throw new Error(`stdin of ${sent.bytes} bytes: ${text}`);
  count("MB of stdin", sent.bytes / MB);
}

/**
 * A process that changes hands: each client reads a while and leaves it to the next one, which begins with what the
 * one before has not acknowledged.
 */
async function takeOverJob(url: string, random: Random): Promise<void> {
  const lines = linesFor(MB + random.below(MOST_BYTES));
  let there = await connect(url);
  let mine = await there.processes.start({ argv: printLines(lines) });
  const expected = digestOfLines(lines);
  const digester = createDigester();
  let seq = 0;
  try {
    for (let hands = 0;; hands++) {
      const last = hands === 3 ? Infinity : seq + 1 + random.below(50);
      let closed = false;
      // No `for await`: to leave it would give up what the next one is to have.
      const events = mine.events()[Symbol.asyncIterator]();
      while (!closed && seq < last) {
        const { value: event } = await events.next();
        if (!event) throw new Error(`no end after event ${seq}`);
        if (event.seq <= seq) continue; // the one before has read it
        if (event.seq !== seq + 1) throw new Error(`event ${event.seq} came after ${seq}`);
        seq = event.seq;
        if (event.type === "output") digester.add(event.bytes);
        closed = event.type === "closed";
      }
      if (closed) break;
      // Closed first: a client that is just reconnecting would take the session back.
      await there.close();
      there = await connect(url, { resumeSessionId: there.sessionId ?? "" });
      mine = await there.processes.attach(mine.id);
      count("take-overs");
    }
    const { bytes, sha256 } = digester.result();
    if (bytes !== expected.bytes || sha256 !== expected.sha256) {
      throw new Error(`${bytes} bytes after take-overs`);
    }
    count("MB printed", bytes / MB);
  } finally {
    await there.close();
  }
}

/** One job after the other until the time is over. */
async function work(url: string, there: Environment, random: Random, over: () => boolean): Promise<void> {
  while (!over()) {
    const job = random.pick("print", "print", "input", "take-over");
    const done = job === "print"
      ? printJob(there, random)
      : job === "input"
      ? inputJob(there, random)
      : takeOverJob(url, random);
    const limit = AbortSignal.timeout(JOB_LIMIT_MS);
    const late = new Promise<never>((_, reject) => {
      limit.addEventListener("abort", () => reject(new Error(`${job} stands still`)));
    });
    await Promise.race([done, late]);
    count(`${job} done`);
  }
}

async function soak(): Promise<void> {
  console.log(`seed ${seed}, ${values.seconds} s`);
  const server = await startServer();
  const proxy = await startProxy(server.url);
  const random = createRandom(seed);
  const over = () => performance.now() > until;
  try {
    await using there = await connect(proxy.url, {
      onConnectionChange: (state) => count(state),
    });
    const workers = Array.from(
      { length: JOBS_AT_ONCE },
      (_, index) => work(proxy.url, there, createRandom(seed + 1 + index), over),
    );
    const faults = breakThings(proxy, random, over);
    try {
      await Promise.all([...workers, faults]);
    } catch (error) {
      fail(error); // at once: what is closed below fails other jobs too
    }
    const peak = memoryOf(server.pid, "VmHWM");
    count("peak memory, MB", peak);
    if (peak > MAX_SERVER_MB) throw new Error(`the server's peak memory is ${peak} MB`);
  } finally {
    await proxy.stop();
    await server.stop();
  }
}

await soak().catch(fail);
console.log(report());
process.exit(0);

function fail(error: unknown): never {
  console.log(report());
  console.error(error);
  console.error(`FAILED: node --import tsx scripts/soak.ts --seconds ${values.seconds} --seed ${seed}`);
  process.exit(1); // the harness kills the server
}

function report(): string {
  return [...counts].map(([what, times]) => `${what}: ${Math.round(times)}`).join(", ");
}
