// The attacks against the command line of the sandbox, on pipes and on a terminal, as root and as an ordinary user: at
// most four known ones come through as a user, five as root.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { directStart } from "./attacks/direct.ts";
import { IDENTITIES } from "./attacks/identities.ts";
import { ALLOWED_ESCAPES, ATTACKS, UNUSABLE, USABLE } from "./attacks/list.ts";
import { runAttacks, runUsable } from "./attacks/run.ts";
import { makeScene } from "./attacks/scene.ts";
import { counts, unexpected } from "./attacks/table.ts";

test("the list is sound", () => {
  const ids = ATTACKS.map(({ id }) => id);
  assert.is(new Set(ids).size, ids.length, "an id is there twice");
  for (const { id } of ALLOWED_ESCAPES) assert.ok(ids.includes(id), `${id} is allowed but not tried`);
  assert.ok(ALLOWED_ESCAPES.filter(({ as }) => as.includes("user")).length <= 4);
  assert.ok(ALLOWED_ESCAPES.filter(({ as }) => as.includes("root")).length <= 5);
});

test("docs/sandbox.md has the results of these attacks", () => {
  const text = readFileSync(new URL("../../docs/sandbox.md", import.meta.url), "utf8");
  const [, page = ""] = /<!-- attacks -->(.*)<!-- \/attacks -->/s.exec(text) ?? [];
  const rows = [...page.matchAll(/^\| `([^`]+)` +\|(.*)$/gm)].map(([, id = "", cells = ""]) => ({
    id,
    cells,
  }));
  assert.equal(rows.map(({ id }) => id), ATTACKS.map(({ id }) => id), "write it anew: npm run docs:sandbox");
  const escaped = rows.filter(({ cells }) => cells.includes("**escaped**")).map(({ id }) => id);
  assert.equal(escaped.sort(), ALLOWED_ESCAPES.map(({ id }) => id).sort());
});

for (const { identity, uid } of IDENTITIES) {
  for (const tty of [false, true]) {
    test(`as ${identity} on ${tty ? "a terminal" : "pipes"}`, async () => {
      const scene = await makeScene({ uid });
      try {
        const options = { scene, tty, start: directStart(scene) };
        const verdicts = await runAttacks(ATTACKS, options);
        console.log(`${identity}, ${tty ? "terminal" : "pipes"}: ${JSON.stringify(counts(verdicts))}`);
        assert.equal(unexpected(verdicts, identity), []);
        assert.equal(await runUsable(USABLE, options), [], "what has to work");
        assert.is((await runUsable(UNUSABLE, options)).length, UNUSABLE.length, "what is documented as lost");
      } finally {
        await scene.close();
      }
    });
  }
}

test.run();
