/** Starts of a program that ends at once. */
import { eachTime, overLibrary, overWire } from "../peers/servers.ts";
import { sshRun } from "../peers/ssh_run.ts";
import { type Contender, medianOf, perSecond, sshOf, type Workload } from "../workload.ts";

const ALONE = 20;
/** What a process costs the system by itself varies more than what a loop of many does. */
const BARE_ALONE = 200;
const TRUE = ["/bin/true"];

/** One after another. */
export const startAlone: Workload = {
  name: "start",
  about:
    "`/bin/true` from the request to `process/closed`, one after another; of the library from `start()` to " +
    "`wait()`; `ssh true` to its exit; a loop of posix_spawn and wait.",
  figures: [{
    key: "time",
    title: "start to closed",
    unit: "ms",
    targets: { codex: 20, bare: 1 / 2.5 },
  }],
  rounds: 12,
  limitMs: 60_000,
  contenders: {
    ...overWire(async (wire) => ({ time: await medianOf(ALONE, () => wire.run(TRUE)) })),
    library: overLibrary(async (there) => ({
      time: await medianOf(ALONE, async () => (await there.processes.start({ argv: TRUE })).wait()),
    })),
    ssh: eachTime(async (scene) => ({ time: await medianOf(ALONE, () => sshRun(sshOf(scene), TRUE)) })),
    bare: eachTime(async ({ bare }) => ({
      time: 1000 * await bare.seconds("spawn", BARE_ALONE, 1) / BARE_ALONE,
    })),
  },
};

/** Many at a time. */
function startMany(atOnce: number, count: number, targets: Partial<Record<Contender, number>>): Workload {
  return {
    name: `start-${atOnce}`,
    about: `The same, ${atOnce} at a time.`,
    figures: [{ key: "rate", title: `starts, ${atOnce} at a time`, unit: "/s", targets }],
    rounds: 6,
    limitMs: 90_000,
    contenders: {
      ...overWire(async (wire) => ({ rate: await perSecond(count, atOnce, () => wire.run(TRUE)) })),
      library: overLibrary(async (there) => ({
        rate: await perSecond(
          count,
          atOnce,
          async () => (await there.processes.start({ argv: TRUE })).wait(),
        ),
      })),
      ssh: eachTime(async (scene) => ({
        rate: await perSecond(count, atOnce, () => sshRun(sshOf(scene), TRUE)),
      })),
      bare: eachTime(async ({ bare }) => ({ rate: count / await bare.seconds("spawn", count, atOnce) })),
    },
  };
}

/** 16 and 200 at a time. */
export const startTogether: readonly Workload[] = [startMany(16, 160, { codex: 3 }), startMany(200, 200, {})];
