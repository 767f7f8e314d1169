/**
 * Drives the real Codex CLI against this project's server and checks what its model is told and what is on disk.
 *
 *   node --import tsx scripts/real_client/main.ts [--codex PATH] [part of a scenario's name …]
 *
 * Without --codex the client is installed with npm into a temporary folder. The server is dist/exec-server
 * (`npm run compile`) or the command line in EXEC_SERVER_BIN. Nothing leaves this machine but npm's download.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { startServer } from "../../tests/harness/server.ts";
import { tempDir } from "../../tests/harness/temp.ts";
import { installCodex, runCodex, versionOf } from "./codex.ts";
import { commands } from "./commands.ts";
import { startModel } from "./model.ts";
import { patches } from "./patches.ts";
import { startProxy } from "./proxy.ts";
import { recovery } from "./recovery.ts";
import { refusals } from "./refusals.ts";
import { terminals } from "./terminals.ts";
import type { Scenario } from "./scenario.ts";
import { tailOf } from "./wire_message.ts";

/** After a failure. */
const MESSAGES_SHOWN = 12;

const { values, positionals } = parseArgs({
  options: { codex: { type: "string" } },
  allowPositionals: true,
});
const chosen = [...commands, ...patches, ...recovery, ...refusals, ...terminals].filter(({ name }) =>
  positionals.length === 0 || positionals.some((part) => name.includes(part))
);

const codex = values.codex === undefined ? await installCodex() : resolve(values.codex);
if (!existsSync(codex)) throw new Error(`no such program: ${codex}`);
console.log(`client: ${await versionOf(codex)}`);

let failed = 0;
for (const scenario of chosen) {
  const began = performance.now();
  const outcome = await attempt(scenario);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  if (!outcome.ok) failed++;
  console.log(`${outcome.ok ? "ok  " : "FAIL"} ${scenario.name} (${seconds} s): ${outcome.details}`);
}
console.log(`${chosen.length - failed} ok, ${failed} failed`);
process.exitCode = failed > 0 || chosen.length === 0 ? 1 : 0;

/** Runs one scenario with a server, a model and a proxy of its own. */
async function attempt(scenario: Scenario): Promise<{ ok: boolean; details: string }> {
  const workspace = tempDir();
  const server = await startServer({ cwd: workspace });
  const proxy = await startProxy(server.url);
  const model = await startModel(scenario.calls);
  try {
    scenario.prepare?.(workspace);
    scenario.disturb?.(proxy);
    const run = await runCodex({
      codex,
      modelUrl: model.url,
      serverUrl: proxy.url,
      workspace,
      bypassSandbox: scenario.sandboxed !== true,
    });
    try {
      if (run.timedOut) throw new Error("the client did not come to an end");
      if (run.exitCode !== 0) throw new Error(`the client ended with ${run.exitCode}`);
      const { outputs } = model;
      return { ok: true, details: scenario.check({ outputs, messages: proxy.messages, workspace }) };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const said = [
        `  the client's last words:\n${run.stderr.slice(-300)}`,
        `  the server's: ${server.stderr().slice(-1500)}`,
        `  the last messages:\n${tailOf(proxy.messages, MESSAGES_SHOWN)}`,
      ];
      return { ok: false, details: `${reason}\n${said.join("\n")}` };
    }
  } finally {
    await model.close();
    await proxy.close();
    await server.stop();
  }
}
