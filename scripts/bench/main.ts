/**
 * `npm run bench -- [--codex PATH]`: our compiled server beside the real `codex exec-server`, alternating in one run;
 * medians and ratios. Without `--codex` only ours is measured.
 */
import { parseArgs } from "node:util";
import { startServer, type TestServer } from "../../tests/harness/server.ts";
import type { WireClient } from "../../tests/harness/wire_client.ts";
import { compile } from "../compile.ts";
import { keyToEcho } from "./terminal.ts";

const ROUNDS = 8;
const { values } = parseArgs({ options: { codex: { type: "string" } } });

interface Subject {
  readonly name: string;
  readonly server: TestServer;
  readonly client: WireClient;
}

interface Workload {
  readonly name: string;
  readonly unit: "ms" | "/s";
  /** One figure of one round. */
  measure(client: WireClient, server: TestServer): Promise<number>;
}

let started = 0;

async function startToClosed(client: WireClient): Promise<void> {
  const id = `bench-${++started}`;
  const closed = client.waitFor((message) =>
    "method" in message && message["method"] === "process/closed" &&
    JSON.stringify(message).includes(`"${id}"`)
  );
  await client.call("process/start", {
    processId: id,
    argv: ["/bin/true"],
    cwd: "file:///",
    env: {},
    tty: false,
  });
  await closed;
}

const WORKLOADS: Workload[] = [
  {
    name: "start to closed, /bin/true, one after another",
    unit: "ms",
    async measure(client) {
      const times: number[] = [];
      for (let count = 0; count < 10; count++) {
        const from = performance.now();
        await startToClosed(client);
        times.push(performance.now() - from);
      }
      return median(times);
    },
  },
  {
    name: "terminal, key to echo",
    unit: "ms",
    measure: (_client, server) => keyToEcho(server.url),
  },
  {
    name: "request round trip (environment/status)",
    unit: "ms",
    async measure(client) {
      const from = performance.now();
      for (let count = 0; count < 200; count++) await client.call("environment/status", {});
      return (performance.now() - from) / 200;
    },
  },
  {
    name: "requests, 64 in flight",
    unit: "/s",
    async measure(client) {
      const from = performance.now();
      let left = 1_280;
      const worker = async () => {
        while (left-- > 0) await client.call("environment/status", {});
      };
      await Promise.all(Array.from({ length: 64 }, worker));
      return 1_280 / ((performance.now() - from) / 1000);
    },
  },
];

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

async function subject(name: string, codex?: string): Promise<Subject> {
  const server = await startServer(codex === undefined ? {} : { codex });
  return { name, server, client: await server.connect() };
}

await compile();
const subjects = [await subject("ours")];
if (values.codex) subjects.push(await subject("codex", values.codex));
try {
  console.log(`| workload | ${subjects.map(({ name }) => name).join(" | ")} | ours is better by |`);
  console.log(`| --- |${subjects.map(() => " ---: |").join("")} ---: |`);
  for (const { name, unit, measure } of WORKLOADS) {
    const figures: number[][] = subjects.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, { client, server }] of subjects.entries()) {
        figures[index]?.push(await measure(client, server));
      }
    }
    const [ours = NaN, theirs = NaN] = figures.map(median);
    const ratio = unit === "ms" ? theirs / ours : ours / theirs;
    const cells = figures.map((each) => `${median(each).toPrecision(3)} ${unit}`).join(" | ");
    console.log(`| ${name} | ${cells} | ${Number.isNaN(ratio) ? "" : `${ratio.toPrecision(3)} times`} |`);
  }
} finally {
  for (const { client, server } of subjects) {
    await client.close();
    await server.stop();
  }
}
