// `node --import tsx scripts/bench/sandbox.ts --codex PATH`: a sandboxed /bin/true and a sandboxed read of 4 KiB, ours
// and the reference's alternating in one run; medians in ms.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { startServer } from "../../tests/harness/server.ts";
import { openRawClient } from "../../tests/session/raw_client.ts";
import { compile } from "../compile.ts";

const ROUNDS = 30;
const { values } = parseArgs({ options: { codex: { type: "string" } } });
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

async function subject(codex?: string) {
  const server = await startServer(codex === undefined ? {} : { codex });
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
  return {
    start: () =>
      time(async () => {
        const id = `p${++count}`;
        const ended = new Promise<void>((resolve) => closed.set(id, resolve));
        await client.start(id, ["/bin/true"], { sandbox, cwd: sandbox.cwd });
        await ended;
      }),
    read: () => time(() => client.call("fs/readFile", { path: pathToFileURL(file).href, sandbox })),
    async end() {
      await client.terminate();
      await server.stop();
    },
  };
}

const subjects = [await subject(), ...(values.codex === undefined ? [] : [await subject(values.codex)])];
try {
  for (const what of ["start", "read"] as const) {
    const times: number[][] = subjects.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, one] of subjects.entries()) times[index]?.push(await one[what]());
    }
    const [ours = NaN, theirs = NaN] = times.map((all) => all.sort((a, b) => a - b)[ROUNDS / 2] ?? NaN);
    console.log(
      `${what}: ours ${ours.toFixed(2)} ms, reference ${theirs.toFixed(2)} ms, ${
        (theirs / ours).toFixed(1)
      } times`,
    );
  }
} finally {
  for (const one of subjects) await one.end();
  rmSync(root, { recursive: true });
}
