// Attacks the compiled server with everything at once while a well-behaved client does its work, and says what that
// cost it: `npm run storm -- [--json] [--seconds N]`. Exits with 1 when a bound is broken.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  type Attack,
  endlessMessage,
  idleConnections,
  pingFlood,
  silentConnections,
  unfinishedRequests,
  unreadRequests,
} from "../tests/faults/attacks.ts";
import { memoryOf, openFiles, until } from "../tests/harness/proc.ts";
import { startServer, type TestServer } from "../tests/harness/server.ts";
import { isObject } from "../tests/harness/wire_client.ts";
import { compile } from "./compile.ts";

/** What may not be exceeded. */
const BOUNDS = { p99Ms: 50, peakMiB: 300, filesLeft: 20, memoryLeftMiB: 80 };
const SAMPLE_MS = 100;
/** How often the well-behaved client asks, in ms. */
const PAUSE_MS = 2;
const REQUESTS_A_CONNECTION = 200;
/** Of setpriority(2). */
const LOWEST_PRIORITY = 19;
const RECOVERY_MS = 20_000;

const ATTACKS: Readonly<Record<string, (url: string) => Promise<Attack>>> = {
  "2,000 idle connections": (url) => idleConnections(url, 2_000),
  "500 unfinished requests": (url) => unfinishedRequests(url, 500),
  "500 connections without initialize": (url) => silentConnections(url, 500),
  "a message of 1 GiB in pieces": (url) => endlessMessage(url, 2 ** 30),
  "a million empty pieces": (url) => endlessMessage(url, 2 ** 20, 0),
  "100,000 requests that are not read": (url) =>
    unreadRequests(url, 100_000, { method: "fs/readFile", params: { path: "file:///etc/services" } }),
  "100,000 pings": (url) => pingFlood(url, 100_000),
};

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    seconds: { type: "string", default: "15" },
    url: { type: "string" },
  },
});

/** Requests of a client that behaves, one after the other, until `over`; now and then it comes anew. */
async function behave(server: TestServer, over: () => boolean): Promise<number[]> {
  const times: number[] = [];
  while (!over()) {
    const client = await server.connect({ clientName: "well-behaved" });
    for (let count = 0; count < REQUESTS_A_CONNECTION && !over(); count++) {
      const from = performance.now();
      if (count % 2 === 0) await client.call("environment/status", {});
      else await client.call("fs/getMetadata", { path: "file:///etc/hostname" });
      times.push(performance.now() - from);
      await pause(PAUSE_MS);
    }
    await client.terminate();
  }
  return times;
}

function summary(times: readonly number[]) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => Number((sorted[Math.floor(share * (sorted.length - 1))] ?? NaN).toFixed(2));
  return { requests: times.length, medianMs: at(0.5), p99Ms: at(0.99), longestMs: at(1) };
}

function usage(server: TestServer) {
  return { memoryMiB: Math.round(memoryOf(server.pid)), files: openFiles(server.pid) };
}

/** How many connections of an attack the server has ended. */
type Ended = Readonly<Record<string, number>>;

/**
 * The attackers are one process of their own, with the lowest priority: they are to cost the server what they send,
 * not the processor that they would not share with it on another machine.
 */
async function attackers(url: string) {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), "--url", url];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  await lines.next();
  return {
    begin: () => void child.stdin.write("go\n"),
    async end(): Promise<Ended> {
      child.stdin.end();
      const { value } = await lines.next();
      await exited;
      const told: unknown = JSON.parse(String(value ?? "{}"));
      return Object.fromEntries(
        Object.entries(isObject(told) ? told : {}).map(([name, count]) => [name, Number(count)]),
      );
    },
  };
}

/** The attackers' side of that: says when it is ready, begins at a line, ends with its input. */
async function attack(url: string): Promise<void> {
  setPriority(LOWEST_PRIORITY);
  const begun = once(process.stdin, "data");
  const over = once(process.stdin, "end");
  process.stdout.write("ready\n");
  await begun;
  const ended: Record<string, () => number> = {};
  for (const [name, run] of Object.entries(ATTACKS)) {
    void run(url).then((made) => ended[name] = made.ended, (error: unknown) => console.error(name, error));
  }
  await over;
  const counts = Object.entries(ended).map(([name, count]) => [name, count()]);
  process.stdout.write(`${JSON.stringify(Object.fromEntries(counts))}\n`);
  process.exit(0);
}

async function storm() {
  await compile();
  const server = await startServer();
  try {
    const attacking = await attackers(server.url);
    let over = false;
    const quiet = behave(server, () => over);
    await pause(2_000);
    over = true;
    const before = { ...usage(server), ...summary(await quiet) };

    let stormIsOver = false;
    const working = behave(server, () => stormIsOver);
    const peak = { memoryMiB: 0, files: 0 };
    const sampling = setInterval(() => {
      const { memoryMiB, files } = usage(server);
      peak.memoryMiB = Math.max(peak.memoryMiB, memoryMiB);
      peak.files = Math.max(peak.files, files);
    }, SAMPLE_MS);
    attacking.begin();
    await pause(1_000 * Number(values.seconds));
    const endedByServer = await attacking.end();
    stormIsOver = true;
    const during = { ...peak, ...summary(await working) };
    clearInterval(sampling);

    const isBack = () =>
      openFiles(server.pid) <= before.files + BOUNDS.filesLeft &&
      memoryOf(server.pid) <= before.memoryMiB + BOUNDS.memoryLeftMiB;
    const from = performance.now();
    await until("memory and descriptors are back", isBack, RECOVERY_MS).catch(() => {});
    const after = { ...usage(server), seconds: Number(((performance.now() - from) / 1000).toFixed(1)) };
    const isGood = during.p99Ms < BOUNDS.p99Ms && memoryOf(server.pid, "VmHWM") < BOUNDS.peakMiB && isBack();
    return { isGood, bounds: BOUNDS, before, during, after, endedByServer };
  } finally {
    await server.stop();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}

if (values.url !== undefined) await attack(values.url);
else {
  const result = await storm();
  if (values.json) console.log(JSON.stringify(result, undefined, 2));
  else {
    for (const phase of ["before", "during", "after"] as const) {
      console.log(
        `${phase}: ${Object.entries(result[phase]).map(([what, much]) => `${what} ${much}`).join(", ")}`,
      );
    }
    for (const name of Object.keys(ATTACKS)) {
      const count = result.endedByServer[name];
      console.log(
        `${name}: ${count === undefined ? "not all sent" : `${count} connections ended by the server`}`,
      );
    }
  }
  process.exit(result.isGood ? 0 : 1);
}
