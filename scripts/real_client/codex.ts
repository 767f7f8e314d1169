/** The real Codex CLI: where it is, its configuration, one run of it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { tempDir } from "../../tests/harness/temp.ts";
import { runProgram, type RunResult } from "./run_program.ts";

/** The version that this project was measured against. */
export const CODEX_PACKAGE = "@openai/codex@0.169.0";
const INSTALL_LIMIT_MS = 300_000;
const VERSION_LIMIT_MS = 20_000;
/** The client tries for 45 s to get a lost connection back. */
const RUN_LIMIT_MS = 90_000;

/** Offers `exec_command`, `write_stdin` and `apply_patch` to the model directly, without a script around them. */
const MODEL = "gpt-5.5";

/** Installs the client with npm into a temporary folder. Resolves with the path of its launcher. */
export async function installCodex(): Promise<string> {
  const folder = tempDir();
  const args = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", CODEX_PACKAGE];
  const result = await runProgram("npm", { args, env: process.env, cwd: folder, limitMs: INSTALL_LIMIT_MS });
  if (result.exitCode !== 0) throw new Error(`npm could not install ${CODEX_PACKAGE}:\n${result.stderr}`);
  return join(folder, "node_modules", ".bin", "codex");
}

/** `codex-cli 0.169.0`. @throws when the program does not run */
export async function versionOf(codex: string): Promise<string> {
  const folder = tempDir();
  const env = { PATH: process.env["PATH"], HOME: folder };
  const result = await runProgram(codex, {
    args: ["--version"],
    env,
    cwd: folder,
    limitMs: VERSION_LIMIT_MS,
  });
  if (result.exitCode !== 0) throw new Error(`${codex} --version: ${result.stderr}`);
  return result.stdout.trim();
}

/** What one run of the client needs to know. */
export interface CodexRun {
  /** The launcher. */
  readonly codex: string;
  /** `http://127.0.0.1:PORT/v1` of the model. */
  readonly modelUrl: string;
  /** `ws://127.0.0.1:PORT` of the exec server. */
  readonly serverUrl: string;
  /** The working folder, on both sides. */
  readonly workspace: string;
  /** Ask for no sandbox; else the client's `workspace-write` holds. */
  readonly bypassSandbox: boolean;
}

/** One `codex exec` with a fresh home and hardly any environment: nothing of the user's own set-up is used. */
export function runCodex(run: CodexRun): Promise<RunResult> {
  const home = tempDir();
  const codexHome = join(home, ".codex");
  mkdirSync(codexHome);
  writeFileSync(join(codexHome, "config.toml"), configuration(run.modelUrl));
  const sandbox = run.bypassSandbox
    ? ["--dangerously-bypass-approvals-and-sandbox"]
    : ["--sandbox", "workspace-write"];
  return runProgram(run.codex, {
    args: ["exec", "--skip-git-repo-check", "--ephemeral", ...sandbox, "-C", run.workspace, "go"],
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      TMPDIR: home,
      CODEX_HOME: codexHome,
      CODEX_EXEC_SERVER_URL: run.serverUrl,
    },
    cwd: home,
    limitMs: RUN_LIMIT_MS,
  });
}

/** Everything that would reach the internet is off. */
function configuration(modelUrl: string): string {
  return `model = "${MODEL}"
model_provider = "script"
check_for_update_on_startup = false

[model_providers.script]
name = "script"
base_url = "${modelUrl}"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0

[features]
plugins = false
apps = false

[analytics]
enabled = false
`;
}
