// Runs attacks by file requests through anything that answers them, and judges by what is seen outside.
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { register, send } from "../../harness/program.ts";
import type { Verdict } from "./attack.ts";
import type { FileAttack, FileRequest } from "./file_attack.ts";
import type { Scene } from "./scene.ts";
import { wireSandbox } from "./wire_policy.ts";

/** What is to be run, and by whom. */
export interface FileRunOptions {
  readonly scene: Scene;
  /** Makes one request of the wire; rejects with the answer's error. */
  readonly call: (method: string, params: Record<string, unknown>) => Promise<unknown>;
}

/** Runs each case in a fresh tree. */
export async function runFileAttacks(
  attacks: readonly FileAttack[],
  options: FileRunOptions,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const attack of attacks) verdicts.push(await runFileAttack(attack, options));
  return verdicts;
}

async function runFileAttack(attack: FileAttack, { scene, call }: FileRunOptions): Promise<Verdict> {
  const verdict = (result: Verdict["result"], detail: string): Verdict => ({ id: attack.id, result, detail });
  scene.reset();
  await scene.bystander.contacts();
  const sandbox = wireSandbox(scene.policy, scene.root);
  const ask = ({ method, params }: FileRequest) => call(method, { ...withUris(params), sandbox });
  let stop = () => Promise.resolve();
  try {
    attack.before?.(scene);
    scene.remember();
    // Starts a persistent helper, with the mounts of now. What cannot do this protects nothing and proves nothing.
    await ask({ method: "fs/readFile", params: { path: join(scene.root, "plain") } });
    attack.between?.(scene);
    scene.remember();
    if (attack.meanwhile) stop = interfere(attack.meanwhile(scene), scene.uid);
    const answers: string[] = [];
    for (let time = 0; time < (attack.times ?? 1); time++) {
      for (const request of attack.requests(scene)) answers.push(await ask(request).then(textOf, String));
    }
    await stop();
    const leaked = answers.find((answer) => answer.includes(scene.token));
    if (leaked !== undefined) return verdict("ESCAPED", "a secret was read");
    const contacts = await scene.bystander.contacts();
    if (contacts.length > 0) return verdict("ESCAPED", `the bystander noticed: ${contacts.join(", ")}`);
    const damage = scene.damage();
    return damage === undefined
      ? verdict("BLOCKED", answers.at(0)?.slice(0, 120) ?? "")
      : verdict("ESCAPED", damage);
  } catch (error) {
    return verdict("ERROR", String(error));
  } finally {
    await stop();
    for (const name of readdirSync(scene.run)) {
      if (name.startsWith("old-")) rmSync(join(scene.run, name), { recursive: true, force: true });
    }
  }
}

function withUris(params: FileRequest["params"]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      name,
      /^(path|\w+Path)$/.test(name) && typeof value === "string" ? uriOf(value) : value,
    ]),
  );
}

/** Keeps `..`, which pathToFileURL would resolve: whether a path leads outside is the server's to see. */
function uriOf(path: string): string {
  return path.includes("/../") ? `file://${path.replaceAll("/../", "/%2E%2E/")}` : pathToFileURL(path).href;
}

/** The answer as text, with file contents decoded. */
function textOf(answer: unknown): string {
  const text = JSON.stringify(answer) ?? "";
  if (typeof answer !== "object" || answer === null) return text;
  const data = "dataBase64" in answer ? answer.dataBase64 : "chunk" in answer ? answer.chunk : undefined;
  return typeof data === "string" ? `${text} ${Buffer.from(data, "base64").toString("latin1")}` : text;
}

/** Runs a program as the scene's user until it is stopped. */
function interfere(script: string, uid: number): () => Promise<void> {
  const child = spawn("/usr/bin/perl", ["-e", script], {
    ...(process.getuid?.() === 0 ? { uid, gid: uid } : {}),
    cwd: "/",
    detached: true,
    env: { PATH: "/usr/bin:/bin" },
    stdio: "ignore",
  });
  const pid = child.pid ?? 0;
  if (pid > 0) register(pid, child);
  const ended = new Promise<void>((ok) => {
    child.once("exit", () => ok());
    child.once("error", () => ok());
  });
  return async () => {
    if (pid > 1) send(-pid, "SIGKILL");
    await ended;
  };
}
