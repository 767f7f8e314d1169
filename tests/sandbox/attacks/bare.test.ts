// Without a sandbox the attacks come through: an attack that never worked would prove nothing by failing.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bareStart } from "./direct.ts";
import { IDENTITIES } from "./identities.ts";
import { ATTACKS, KNOWN_LIMITS, UNUSABLE, USABLE } from "./list.ts";
import { runAttacks, runUsable } from "./run.ts";
import { makeScene } from "./scene.ts";
import { counts, powerless } from "./table.ts";

const ALL = [...ATTACKS, ...KNOWN_LIMITS];

for (const { identity, uid } of IDENTITIES) {
  test(`as ${identity}`, async () => {
    const scene = await makeScene({ uid });
    try {
      const options = { scene, tty: false, start: bareStart(scene) };
      const verdicts = await runAttacks(ALL, options);
      console.log(`${identity}, no sandbox: ${JSON.stringify(counts(verdicts))}`);
      assert.equal(powerless(ALL, verdicts, identity), []);
      assert.equal(await runUsable([...USABLE, ...UNUSABLE], options), []);
    } finally {
      await scene.close();
    }
  });

  test(`as ${identity} on a terminal`, async () => {
    const scene = await makeScene({ uid });
    try {
      const attacks = ALL.filter(({ id }) => id.startsWith("t-"));
      const verdicts = await runAttacks(attacks, { scene, tty: true, start: bareStart(scene) });
      assert.equal(powerless(attacks, verdicts, identity), []);
    } finally {
      await scene.close();
    }
  });
}

test.run();
