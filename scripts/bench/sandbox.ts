// `node --import tsx scripts/bench/sandbox.ts [--codex PATH] [--base PATH]`: a sandboxed /bin/true, and reads of 4 KiB
// with a sandbox and without; medians in ms, of the reference, of an older build of ours (--base) and of this one.
//
// They take turns in one run, and each read of ours comes after one of the reference. `single` is one read in each turn:
// the reference starts programs for it, so that ours finds a processor that has been elsewhere. In `burst` each has its
// turn for BURST reads.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { startServer } from "../../tests/harness/server.ts";
import { openRawClient } from "../../tests/session/raw_client.ts";
import { compile, EXECUTABLE } from "../compile.ts";

const STARTS = 30;
const WARM_UP = 20;
const SINGLES = 100;
const BURSTS = 8;
const BURST = 20;
const { values } = parseArgs({ options: { codex: { type: "string" }, base: { type: "string" } } });
await compile();

const root = mkdtempSync("/var/tmp/exec-server-bench-");
const file = join(root, "file");
writeFileSync(file, "x".repeat(4096));
const path = (of: string, access: string) => ({
  path: { type: "path", path: pathToFileURL(of).href },
  access,
});
const sandbox = {
  windowsSandboxLevel: "disabled",
  cwd: pathToFileURL(root).href,
  permissions: {
    type: "managed",
    network: "restricted",
    file_system: {
      type: "restricted",
      entries: [
        { path: { type: "special", value: { kind: "root" } }, access: "read" },
        path(root, "write"),
        path("/root/.ssh", "deny"),
      ],
    },
  },
};

interface Subject {
  readonly name: string;
  start(): Promise<number>;
  sandboxed(): Promise<number>;
  bare(): Promise<number>;
  end(): Promise<void>;
}

async function subject(name: string, options: { codex?: string; base?: string }): Promise<Subject> {
  const { codex, base } = options;
  const before = process.env["EXEC_SERVER_BIN"];
  process.env["EXEC_SERVER_BIN"] = base ?? EXECUTABLE;
  const server = await startServer(codex === undefined ? {} : { codex });
  if (before === undefined) delete process.env["EXEC_SERVER_BIN"];
  else process.env["EXEC_SERVER_BIN"] = before;
  const closed = new Map<string, () => void>();
  const client = await openRawClient(server.url, {
    onEvent(event) {
      if (event.type === "closed") closed.get(event.processId)?.();
    },
  });
  let count = 0;
  const time = async (work: () => Promise<unknown>) => {
    const from = performance.now();
    await work();
    return performance.now() - from;
  };
  const read = (more: Record<string, unknown>) =>
    time(() => client.call("fs/readFile", { path: pathToFileURL(file).href, ...more }));
  return {
    name,
    start: () =>
      time(async () => {
        const id = `p${++count}`;
        const ended = new Promise<void>((resolve) => closed.set(id, resolve));
        await client.start(id, ["/bin/true"], { sandbox, cwd: sandbox.cwd });
        await ended;
      }),
    sandboxed: () => read({ sandbox }),
    bare: () => read({}),
    async end() {
      await client.terminate();
      await server.stop();
    },
  };
}

const { codex, base } = values;
const ours = [
  await subject("this build", {}),
  ...(base === undefined ? [] : [await subject("base", { base })]),
];
const reference = codex === undefined ? undefined : await subject("reference", { codex });

const median = (all: readonly number[]) => [...all].sort((a, b) => a - b)[all.length >> 1] ?? NaN;

/** Takes turns: the reference, then one of ours, then the reference, then the other. */
async function compare(
  title: string,
  what: "start" | "sandboxed" | "bare",
  { rounds, each, warmUp }: { rounds: number; each: number; warmUp: number },
) {
  const times = new Map<Subject, number[]>();
  const turn = async (one: Subject, counts: boolean) => {
    for (let done = 0; done < each; done++) {
      const took = await one[what]();
      if (counts) times.set(one, [...times.get(one) ?? [], took]);
    }
  };
  for (let round = -warmUp; round < rounds; round++) {
    for (const one of ours) {
      if (reference) await turn(reference, round >= 0);
      await turn(one, round >= 0);
    }
  }
  const theirs = median(times.get(reference ?? ours[0] ?? never()) ?? []);
  const texts = ours.map((one) => {
    const mine = median(times.get(one) ?? []);
    return `${one.name} ${mine.toFixed(2)} ms${reference ? ` (${(theirs / mine).toFixed(1)} times)` : ""}`;
  });
  console.log(
    `${title}: ${[...texts, ...reference ? [`reference ${theirs.toFixed(2)} ms`] : []].join(", ")}`,
  );
}

function never(): never {
  throw new Error("unreachable: there is always this build");
}

const singles = { rounds: SINGLES, each: 1, warmUp: WARM_UP };
const bursts = { rounds: BURSTS, each: BURST, warmUp: 1 };
try {
  await compare("start, single", "start", { rounds: STARTS, each: 1, warmUp: 2 });
  await compare("read in a sandbox, single", "sandboxed", singles);
  await compare(`read in a sandbox, bursts of ${BURST}`, "sandboxed", bursts);
  await compare("read without one, single", "bare", singles);
  await compare(`read without one, bursts of ${BURST}`, "bare", bursts);
} finally {
  for (const one of [...ours, ...reference ? [reference] : []]) await one.end();
  rmSync(root, { recursive: true });
}
