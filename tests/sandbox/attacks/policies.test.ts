// The attacks under other policies: nothing writable, and with the host's network.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { directStart } from "./direct.ts";
import { IDENTITIES } from "./identities.ts";
import { ATTACKS } from "./list.ts";
import { runAttacks } from "./run.ts";
import { makeScene } from "./scene.ts";
import { counts, unexpected } from "./table.ts";

for (const { identity, uid } of IDENTITIES) {
  for (const policy of [{ writable: false }, { network: true }]) {
    test(`as ${identity} with ${JSON.stringify(policy)}`, async () => {
      const scene = await makeScene({ uid, ...policy });
      try {
        const verdicts = await runAttacks(ATTACKS, { scene, tty: false, start: directStart(scene) });
        console.log(`${identity}, ${scene.policy.name}: ${JSON.stringify(counts(verdicts))}`);
        assert.equal(unexpected(verdicts, identity), []);
      } finally {
        await scene.close();
      }
    });
  }
}

test.run();
