// The attacks through the compiled server: `sandbox` on process/start, on pipes and on a terminal, and on every request
// about files, as root and as an ordinary user. Prints the table of docs/sandbox.md with SANDBOX_TABLE=1.
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connectWire } from "../harness/wire_client.ts";
import { FILE_ATTACKS } from "./attacks/files.ts";
import { IDENTITIES } from "./attacks/identities.ts";
import { ATTACKS, UNUSABLE, USABLE } from "./attacks/list.ts";
import { runAttacks, runUsable } from "./attacks/run.ts";
import { runFileAttacks } from "./attacks/run_files.ts";
import { makeScene } from "./attacks/scene.ts";
import { attackTable, type Column, counts, unexpected } from "./attacks/table.ts";
import { startAttackServer } from "./attacks/wire_start.ts";

const MIB = 1024 * 1024;
/** What the operator's clients ask for; `processes` cannot be enforced for root without the pids controller. */
const LIMITS = { cpuSeconds: 5, fileSizeBytes: 64 * MIB, dataBytes: 1024 * MIB, openFiles: 256 };
const STAND_INS = /^(?:\S+\/\.(?:git|agents|codex) is (?:new|gone)(?:; |$))+$/;
const columns: Column[] = [];

for (const { identity, uid } of IDENTITIES) {
  const limits = identity === "root" ? LIMITS : { ...LIMITS, processes: 60 };
  for (const tty of [false, true]) {
    const title = `${identity}, ${tty ? "terminal" : "pipes"}`;
    test(`processes: ${title}`, async () => {
      const scene = await makeScene({ uid });
      try {
        const server = await startAttackServer(scene, { more: { limits } });
        try {
          const options = { scene, tty, start: server.start };
          const verdicts = await runAttacks(ATTACKS, options);
          columns.push({ title, verdicts });
          console.log(`${title}: ${JSON.stringify(counts(verdicts))}`);
          assert.equal(unexpected(verdicts, identity), []);
          assert.equal(await runUsable(USABLE, options), [], "what has to work");
          assert.is(
            (await runUsable(UNUSABLE, options)).length,
            UNUSABLE.length,
            "what is documented as lost",
          );
        } finally {
          await server.stop();
        }
      } finally {
        await scene.close();
      }
    });
  }

  test(`files: ${identity}`, async () => {
    const scene = await makeScene({ uid });
    try {
      const server = await startAttackServer(scene);
      const client = await connectWire(server.url);
      try {
        const call = (method: string, params: Record<string, unknown>) => client.call(method, params);
        const verdicts = await runFileAttacks(FILE_ATTACKS, { scene, call });
        console.log(`files, ${identity}: ${JSON.stringify(counts(verdicts))}`);
        // A stand-in of a protected name is there as long as a helper is, empty (what is in a real one would be told of,
        // too), and comes and goes with helpers; that it goes for good is asked below.
        const escaped = verdicts.filter(({ result, detail }) =>
          result === "ERROR" || result === "ESCAPED" && !STAND_INS.test(detail)
        );
        const allowed = FILE_ATTACKS.filter(({ allowed }) => allowed !== undefined).map(({ id }) => id);
        assert.equal(escaped.filter(({ id }) => !allowed.includes(id)), []);
      } finally {
        await client.close();
        await server.stop();
      }
      assert.not(existsSync(join(scene.root, ".codex")), "stand-ins go with the server");
    } finally {
      await scene.close();
    }
  });
}

test.after(() => {
  if (process.env["SANDBOX_TABLE"] === "1") console.log(`\n${attackTable(ATTACKS, columns)}`);
});

test.run();
