/** The same small jobs in a sandbox: the disk readable, one folder writable, one denied, no network. */
import { mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { at, managed, special } from "../../../tests/sandbox/policies.ts";
import { overWire } from "../peers/servers.ts";
import { medianOf, type Scene, type Workload } from "../workload.ts";

const STARTS = 5;
const READS = 20;

/** The wire's description of the sandbox, and a file in it. */
function sandboxOf(scene: Scene) {
  const root = join(scene.scratch, "sandboxed");
  const file = join(root, "file");
  mkdirSync(root, { recursive: true });
  writeFileSync(file, "x".repeat(4096));
  const cwd = pathToFileURL(root).href;
  const entries = [special("root", "read"), at(root, "write"), at(join(homedir(), ".ssh"), "deny")];
  return { sandbox: managed(entries, { cwd }), cwd, path: pathToFileURL(file).href };
}

/** A start and a read, in turns of several. */
export const sandboxed: Workload = {
  name: "sandbox",
  about:
    "`/bin/true` and a file of 4 KiB with the disk readable, one folder writable, one denied, and no network.",
  figures: [
    { key: "start", title: "sandboxed start to closed", unit: "ms", targets: { codex: 4 } },
    { key: "read", title: "sandboxed file read, 4 KiB", unit: "ms", targets: { codex: 50 } },
  ],
  rounds: 8,
  limitMs: 60_000,
  contenders: overWire(async (wire, scene) => {
    const { sandbox, cwd, path } = sandboxOf(scene);
    return {
      start: await medianOf(STARTS, () => wire.run(["/bin/true"], { sandbox, cwd })),
      read: await medianOf(READS, () => wire.call("fs/readFile", { path, sandbox })),
    };
  }),
};

/** Reads in turns of one: the other server starts programs in between, so that ours finds caches that are cold. */
export const sandboxedSingle: Workload = {
  name: "sandbox-single",
  about: "The same read, when each server has its turn after every single one: with caches that are cold.",
  figures: [{ key: "read", title: "sandboxed file read, 4 KiB, in turns of one", unit: "ms" }],
  rounds: 60,
  limitMs: 30_000,
  contenders: overWire(async (wire, scene) => {
    const { sandbox, path } = sandboxOf(scene);
    return { read: await medianOf(1, () => wire.call("fs/readFile", { path, sandbox })) };
  }),
};
