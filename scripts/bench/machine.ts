/** What the numbers were measured on. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch, cpus, release, totalmem } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { VERSION } from "../../src/version.ts";
import type { Scene } from "./workload.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const GIB = 2 ** 30;

/** Name and value, in the order of the page. */
export type Facts = Readonly<Record<string, string>>;

/** Machine and versions. */
export function factsOf(scene: Scene): Facts {
  const [cpu] = cpus();
  const system = /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "Linux";
  return {
    Date: new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC",
    Machine: `${cpus().length} × ${cpu?.model ?? "?"} (${arch()}), ${(totalmem() / GIB).toFixed(0)} GiB`,
    System: `${system}, Linux ${release()}`,
    "exec-server": `${VERSION}, commit ${commit()}`,
    Reference: scene.codex === undefined ? "left out" : versionOf(scene.codex),
    OpenSSH: scene.ssh?.version ?? "left out",
    Bare: scene.bare.kind,
    "Client's runtime": `Node ${process.version}`,
  };
}

function versionOf(program: string): string {
  return spawnSync(program, ["--version"], { encoding: "utf8", timeout: 10_000 }).stdout.trim();
}

function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync("git", ["-C", ROOT, ...args], { encoding: "utf8" }).trim();
    return git("rev-parse", "--short", "HEAD") +
      (git("status", "--porcelain", "src", "cli.ts") ? " with changes" : "");
  } catch {
    return "unknown"; // no checkout
  }
}
