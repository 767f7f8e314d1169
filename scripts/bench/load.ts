/**
 * `node --import tsx scripts/bench/load.ts`: one process floods a connection while 50 others of it echo keys. Prints how
 * long a key takes, and the server's memory in the first and in the last second.
 */
import { readFileSync } from "node:fs";
import { startServer } from "../../tests/harness/server.ts";
import { compile } from "../compile.ts";
import { openTypists } from "./terminal.ts";

const TYPISTS = 50;
const SECONDS = 20;
/** Between two keys of one typist, in ms: 250 keys a second altogether. */
const PAUSE_MS = 200;

await compile();
const server = await startServer();
try {
  let flooded = 0;
  const { client, typists } = await openTypists(server.url, TYPISTS, (bytes) => flooded += bytes);
  const rss = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]) / 1024;
  const memory: number[] = [];
  const looking = setInterval(() => memory.push(rss()), 1_000);

  const measure = async (seconds: number) => {
    const until = performance.now() + 1_000 * seconds;
    const times: number[] = [];
    await Promise.all(typists.map(async ({ type }) => {
      await pause(Math.random() * PAUSE_MS);
      while (performance.now() < until) {
        times.push(await type());
        await pause(PAUSE_MS);
      }
    }));
    times.sort((a, b) => a - b);
    const at = (share: number) => (times[Math.floor(share * times.length)] ?? NaN).toFixed(2);
    return `${times.length} keys, median ${at(0.5)}, p99 ${at(0.99)}, longest ${
      (times.at(-1) ?? NaN).toFixed(2)
    } ms`;
  };

  console.log(`quiet:   ${await measure(5)}`);
  await client.start("flood", ["cat", "/dev/zero"]);
  const from = performance.now();
  memory.length = 0;
  console.log(`flooded: ${await measure(SECONDS)}`);
  const rate = flooded / 1e6 / ((performance.now() - from) / 1000);
  clearInterval(looking);
  const range = `${Math.min(...memory).toFixed(0)} to ${Math.max(...memory).toFixed(0)}`;
  console.log(
    `flood:   ${rate.toFixed(0)} MB/s; memory of the server ${range} MB, each second: ${
      memory.map((mb) => mb.toFixed(0)).join(" ")
    }`,
  );
  await client.terminate();
} finally {
  await server.stop();
}

function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}
