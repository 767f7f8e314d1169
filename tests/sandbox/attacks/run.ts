// Runs attacks one after the other and judges each: by what it says, and above all by what is seen outside.
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Attack, AttackProcess, Outcome, Start, Usable, Verdict } from "./attack.ts";
import { argvOf, wordIn } from "./marker.ts";
import type { Scene } from "./scene.ts";
import { cleanUp, litter } from "./traces.ts";

const LIMIT_MS = 20_000;
/** How long the engine may take to remove the stand-ins of missing names. */
const STUB_LIMIT_MS = 2_000;

/** What is to be run, and how. */
export interface RunOptions {
  readonly scene: Scene;
  readonly tty: boolean;
  /** Any way to start a program under `scene.policy`. */
  readonly start: Start;
}

/** Runs attacks, each in a sandbox of its own and in a fresh tree. */
export async function runAttacks(attacks: readonly Attack[], options: RunOptions): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const attack of attacks) verdicts.push(await runAttack(attack, options));
  return verdicts;
}

async function runAttack(attack: Attack, options: RunOptions): Promise<Verdict> {
  const { scene } = options;
  const verdict = (result: Verdict["result"], detail: string): Verdict => ({ id: attack.id, result, detail });
  if (attack.opensWithNetwork && scene.policy.network) return verdict("SKIP", "the policy gives it");
  scene.reset();
  await scene.bystander.contacts();
  try {
    const outcome = await outcomeOf(attack.program(scene), attack.limitMs ?? LIMIT_MS, options);
    await stubsGone(scene);
    const seen = await evidence(attack, scene, outcome);
    if (seen !== undefined) return verdict("ESCAPED", seen);
    const said = wordIn(outcome.output, scene.nonce);
    switch (said?.word) {
      case "ESCAPED":
      case "BLOCKED":
      case "SKIP":
        return verdict(said.word, said.detail);
      case "TRIED":
        return verdict("BLOCKED", said.detail || lastLine(outcome.output));
      default:
        return attack.mayEndSandbox
          ? verdict("BLOCKED", `it ended its own sandbox (${outcome.how})`)
          : verdict("ERROR", `${outcome.how}: ${outcome.output.trim().slice(-300)}`);
    }
  } catch (error) {
    return verdict("ERROR", String(error));
  } finally {
    await cleanUp(scene);
  }
}

/** Runs what has to work; the answer holds what does not. */
export async function runUsable(usable: readonly Usable[], options: RunOptions): Promise<string[]> {
  const failures: string[] = [];
  for (const { id, program } of usable) {
    options.scene.reset();
    try {
      const { output, how } = await outcomeOf(program(options.scene), LIMIT_MS, options);
      const said = wordIn(output, options.scene.nonce);
      if (said?.word !== "WORKS") {
        failures.push(`${id}: ${said?.detail ?? `${how} ${output.trim().slice(-300)}`}`);
      }
    } catch (error) {
      failures.push(`${id}: ${error}`);
    } finally {
      await cleanUp(options.scene);
    }
  }
  return failures;
}

async function outcomeOf(
  program: Parameters<typeof argvOf>[0],
  limitMs: number,
  { scene, tty, start }: RunOptions,
): Promise<Outcome> {
  const process: AttackProcess = await start(argvOf(program, scene.nonce), {
    tty,
    policy: scene.policy,
    cwd: scene.root,
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    process.kill();
  }, limitMs);
  const outcome = await process.ended.finally(() => clearTimeout(timer));
  return late ? { output: outcome.output, how: `killed after ${limitMs} ms` } : outcome;
}

/** What every attack might have done, and what this one in particular. */
async function evidence(attack: Attack, scene: Scene, outcome: Outcome): Promise<string | undefined> {
  if (outcome.output.includes(scene.token)) return "a secret was read";
  const own = attack.evidence?.(scene, outcome);
  if (own !== undefined) return own;
  const contacts = await scene.bystander.contacts();
  if (contacts.length > 0) return `the bystander noticed: ${contacts.join(", ")}`;
  const damage = scene.damage();
  if (damage !== undefined) return damage;
  return litter(scene).at(0);
}

/** Waits until the empty stand-ins are gone; one that stays is found as damage. */
async function stubsGone(scene: Scene): Promise<void> {
  const until = Date.now() + STUB_LIMIT_MS;
  while (
    Date.now() < until && scene.policy.protectedNames.some((name) => isEmptyFolder(join(scene.root, name)))
  ) {
    await new Promise((ok) => setTimeout(ok, 10)); // the server removes them after the end of the process
  }
}

function isEmptyFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true && readdirSync(path).length === 0;
}

function lastLine(output: string): string {
  return output.split(/[\r\n]+/).filter((line) => line !== "" && !line.startsWith("@@")).at(-1)?.slice(
    0,
    120,
  ) ?? "";
}
