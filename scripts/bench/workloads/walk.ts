/** A large tree. */
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { pathToFileURL } from "node:url";
import { eachTime, overLibrary, overWire } from "../peers/servers.ts";
import { sshRun } from "../peers/ssh_run.ts";
import { type Measured, type Scene, sshOf, timed, type Workload } from "../workload.ts";

/** Walks that find it all: one finds at most 50,000 entries, and the reference cuts its answer at 4 MiB. */
const PARTS = 4;
/** Directories of a part, and entries of each together with itself. */
const DIRECTORIES = 25;
const perDirectory = (scene: Scene) => scene.pick(1_000, 100);
const entriesOf = (scene: Scene) => PARTS * DIRECTORIES * perDirectory(scene);
const OPTIONS = { maxDepth: 64, maxDirectories: 10_000, maxEntries: 50_000, followDirectorySymlinks: false };

/** PARTS folders with the tree; made once. */
function treeOf(scene: Scene): { readonly root: string; readonly parts: readonly string[] } {
  const root = join(scene.scratch, "tree");
  const parts = Array.from({ length: PARTS }, (_, part) => join(root, `p${part}`));
  if (statSync(root, { throwIfNoEntry: false })) return { root, parts };
  for (const part of parts) {
    for (let directory = 0; directory < DIRECTORIES; directory++) {
      const path = join(part, `d${directory}`);
      mkdirSync(path, { recursive: true });
      for (let file = 1; file < perDirectory(scene); file++) writeFileSync(join(path, `f${file}`), "");
    }
  }
  return { root, parts };
}

/** The time of walks that find every entry. */
async function walked(scene: Scene, walk: (part: string) => Promise<number>): Promise<Measured> {
  const { parts } = treeOf(scene);
  let found = 0;
  const time = await timed(async () => {
    for (const part of parts) found += await walk(part);
  });
  if (found !== entriesOf(scene)) throw new Error(`${found} of ${entriesOf(scene)} entries came`);
  return { time };
}

/** 100,000 entries. */
export const walk: Workload = {
  name: "walk",
  about:
    `100,000 entries (10,000 in a quick run) in ${PARTS * DIRECTORIES} directories, with ${PARTS} requests ` +
    "`fs/walk` one after another; `find` over ssh, and here.",
  figures: [{ key: "time", title: "directory walk, 100,000 entries", unit: "ms" }],
  rounds: 5,
  limitMs: 60_000,
  contenders: {
    ...overWire((wire, scene) =>
      walked(scene, async (part) => {
        const { entries } = await wire.call("fs/walk", { path: pathToFileURL(part).href, options: OPTIONS });
        return Array.isArray(entries) ? entries.length : 0;
      })
    ),
    library: overLibrary((there, scene) =>
      walked(scene, async (part) => (await there.files.walk(part)).entries.length)
    ),
    ssh: eachTime(async (scene) => {
      const { root } = treeOf(scene);
      return { time: await timed(() => sshRun(sshOf(scene), ["find", root, "-mindepth", "2"])) };
    }),
    bare: eachTime(async (scene) => {
      const { root } = treeOf(scene);
      const find = () => promisify(execFile)("find", [root, "-mindepth", "2"], { maxBuffer: 2 ** 28 });
      return { time: await timed(find) };
    }),
  },
};
