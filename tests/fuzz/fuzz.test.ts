// The short mode of the fuzzer: every area with new cases from a seed that is printed, and the corpus before them.
// `npm run fuzz` is the long one.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { allAreas, corpus } from "./areas.ts";
import { isHarmless } from "./harmless.ts";
import { declaredMethods, METHODS } from "./methods.ts";
import { explore, FuzzFailure, fuzzSeed, replay, seedOf } from "./run.ts";
import { createWorld, type Footprint, type World } from "./world.ts";

const test = suite("fuzz");
/** The runtime's own and what is made once; a leak of one in a hundred cases is more. */
const MAX_MORE_FILES = 8;
/** A run of a minute fills the runtime's heap; a leak of a few KiB for each case is more. */
const MAX_MORE_MEMORY = 120;

let world: World;
let before: Footprint;
const seed = fuzzSeed();

test.before(async () => {
  console.log(`EXEC_SERVER_FUZZ_SEED=${seed}`);
  world = await createWorld();
  before = await world.settled();
});

test("each method has values, and nothing else has", async () => {
  const served = (await declaredMethods()).map(({ name }) => name).sort();
  assert.equal(Object.keys(METHODS).sort(), served);
});

test("what could do harm is not sent", () => {
  const remove = (path: string) => isHarmless("fs/remove", { path });
  for (
    const path of ["file://{W}/x", "file://{W}/%2e%2e/d", "file://{W}/../../../../x", "file://localhost{W}"]
  ) {
    assert.ok(remove(path), path);
  }
  for (
    const path of [
      "file:///",
      "file:///home",
      "file:{W}",
      "file://{W}/../../../../..",
      "file://{W}/..%2F..%2F..%2F..%2F..%2Fx",
      "file://{W}/%252e%252e/../../../../x",
      "file://{W}/..\\..\\..\\..\\..\\x",
      " FILE:///etc",
      "fi\nle:///etc",
      "file://{W}/{W}/x",
    ]
  ) assert.not.ok(remove(path), path);
  assert.ok(isHarmless("process/start", { argv: ["echo", "$(x)"] }));
  assert.not.ok(isHarmless("process/start", { argv: ["rm", "-rf", "/"] }));
  assert.not.ok(isHarmless("process/start", ["p", ["sh", "-c", "x"]]));
});

test("the corpus", async () => {
  await shown(async () => await replay(world, await allAreas(), corpus()));
});

for (const [index, area] of (await allAreas()).entries()) {
  test(area.name, () => shown(() => explore(world, area, seedOf(seed, 0, index), area.shortRuns)));
}

test("nothing is left", async () => {
  const after = await world.settled();
  console.log(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
  assert.ok(
    after.files - before.files <= MAX_MORE_FILES,
    `${after.files} descriptors, ${before.files} before`,
  );
  assert.ok(after.memory - before.memory <= MAX_MORE_MEMORY, `${after.memory} MiB, ${before.memory} before`);
  await world.close();
});

/** Says how a failure can be had again. */
async function shown(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (error instanceof FuzzFailure) console.log(`npm run fuzz -- --replay '${error.line}'`);
    throw error;
  }
}

test.run();
