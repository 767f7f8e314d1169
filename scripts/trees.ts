// Kills process trees in four ways, through this server and through the real one, and counts what is left after a
// second: node --import tsx scripts/trees.ts [--codex PATH]
import { parseArgs } from "node:util";
import { startServer } from "../tests/harness/server.ts";
import { cutDown, growTree, TRACELESS, type Tree, TREES, type Way, WAYS } from "../tests/harness/trees.ts";
import { compile } from "./compile.ts";

const OUR_TTL_MS = 1_000;
/** The reference server's, which cannot be changed (protocol reference, section 7). */
const CODEX_TTL_MS = 80_000;

const { values } = parseArgs({ options: { codex: { type: "string" } } });
await compile();
console.log("| tree | ended by | exec-server: left | ms | reference: left | ms |");
console.log("| --- | --- | --- | --- | --- | --- |");
for (const tree of [...TREES, TRACELESS]) {
  for (const way of WAYS) {
    const ours = await measure(tree, way, undefined);
    const theirs = values.codex === undefined ? undefined : await measure(tree, way, values.codex);
    const cells = [ours, theirs].flatMap((one) => one ? [one.left, one.ms.toFixed(0)] : ["-", "-"]);
    console.log(`| ${tree.name} | ${way} | ${cells.join(" | ")} |`);
  }
}

async function measure(
  tree: Tree,
  way: Way,
  codex: string | undefined,
): Promise<{ left: number; ms: number }> {
  const ttl = codex === undefined ? OUR_TTL_MS : CODEX_TTL_MS;
  const server = await startServer(
    codex === undefined ? { args: ["--session-ttl", String(ttl / 1000)] } : { codex },
  );
  try {
    return await cutDown(server, await growTree(server, tree), way, ttl);
  } finally {
    await server.stop();
  }
}
