/** OpenSSH on loopback: a server of our own with keys of its own, and one connection that everything shares. */
import { type ChildProcess, execFileSync, spawn, type SpawnOptions, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { atExit } from "../../../tests/harness/at_exit.ts";
import { register } from "../../../tests/harness/program.ts";
import { within } from "../limit.ts";
import { installPrograms } from "../../test_programs.ts";

/** sshd wants it when it runs as root; Debian's service makes it at its start. */
const SEPARATION = "/run/sshd";
const START_LIMIT_MS = 15_000;
const POLL_MS = 20;
/** Sessions of one connection; OpenSSH's default of 10 would refuse most of 200 starts at a time. */
const MAX_SESSIONS = 2_000;

/** A multiplexed connection. */
export interface Ssh {
  /** What `ssh -V` prints. */
  readonly version: string;
  /** Runs `ssh` with options before the host and a command after it, over the shared connection. */
  spawn(options: readonly string[], command: readonly string[], how: SpawnOptions): ChildProcess;
  /** An `sftp` that takes commands on its standard input, over the shared connection. */
  sftp(): ChildProcess;
  /** Kills what is left of the commands, and waits for it. */
  endCommands(): Promise<void>;
  /** Ends connection and server and removes their files. */
  close(): Promise<void>;
}

/** Installs OpenSSH where it is missing, starts a server on a free port and connects. */
export async function startSsh(): Promise<Ssh> {
  installPrograms("the comparisons with OpenSSH", [["sshd", "openssh-server"], ["ssh", "openssh-client"]]);
  const folder = mkdtempSync("/var/tmp/bench-ssh-"); // short: the path of a Unix socket has 107 bytes
  const made = process.getuid?.() === 0 && !existsSync(SEPARATION);
  if (made) mkdirSync(SEPARATION, { mode: 0o755 });
  const children: ChildProcess[] = [];
  const removeFiles = () => {
    rmSync(folder, { recursive: true, force: true });
    if (made) rmSync(SEPARATION, { recursive: true, force: true });
  };
  atExit(removeFiles);
  const close = async () => {
    for (const child of children.toReversed()) await end(child);
    removeFiles();
  };
  const commands = new Set<ChildProcess>();
  const command = (program: string, args: readonly string[], how: SpawnOptions) => {
    const child = spawn(program, args, how);
    commands.add(child.once("close", () => commands.delete(child)));
    return child;
  };
  try {
    const port = await freePort();
    const config = writeConfig(folder, port);
    children.push(background("/usr/sbin/sshd", ["-D", "-e", "-f", join(folder, "sshd_config")]));
    await within(START_LIMIT_MS, "sshd", listening(port));
    children.push(background("ssh", ["-F", config, "-M", "-N", "bench"]));
    await within(START_LIMIT_MS, "the shared connection of ssh", untilShared(config));
    return {
      version: spawnSync("ssh", ["-V"], { encoding: "utf8" }).stderr.trim(),
      spawn: (options, words, how) => command("ssh", ["-F", config, ...options, "bench", ...words], how),
      sftp: () =>
        spawn("sftp", ["-F", config, "-q", "-b", "-", "bench"], { stdio: ["pipe", "pipe", "ignore"] }),
      endCommands: async () => void await Promise.all([...commands].map((child) => end(child, "SIGKILL"))),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Returns the path of the client's configuration. */
function writeConfig(folder: string, port: number): string {
  const at = (name: string) => join(folder, name);
  for (const name of ["host_key", "client_key"]) {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at(name)]);
  }
  const authorized = readFileSync(at("client_key.pub"));
  writeFileSync(at("authorized_keys"), authorized, { mode: 0o600 });
  const server = {
    ListenAddress: `127.0.0.1:${port}`,
    HostKey: at("host_key"),
    AuthorizedKeysFile: at("authorized_keys"),
    StrictModes: "no", // the folder is below one that everyone may write to
    PidFile: "none",
    UsePAM: "no",
    PasswordAuthentication: "no",
    MaxSessions: MAX_SESSIONS,
    PrintMotd: "no",
    SetEnv: "SHLVL=1", // else bash reads the ~/.bashrc of the account for each command (bash(1), INVOCATION)
    Subsystem: "sftp internal-sftp",
  };
  const client = {
    HostName: "127.0.0.1",
    Port: port,
    User: userInfo().username,
    IdentityFile: at("client_key"),
    IdentitiesOnly: "yes",
    BatchMode: "yes",
    StrictHostKeyChecking: "no",
    UserKnownHostsFile: at("known_hosts"),
    GlobalKnownHostsFile: "/dev/null",
    LogLevel: "ERROR",
    ControlMaster: "no",
    ControlPath: at("shared"),
  };
  const lines = (options: object) => Object.entries(options).map((line) => `${line.join(" ")}\n`).join("");
  writeFileSync(at("sshd_config"), lines(server));
  writeFileSync(at("config"), `Host bench\n${lines(client)}`);
  return at("config");
}

function background(program: string, args: readonly string[]): ChildProcess {
  const child = spawn(program, args, { stdio: "ignore", detached: true });
  child.on("error", () => {}); // seen as a server that does not come up
  if (child.pid !== undefined) register(child.pid, child);
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await ended;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

async function listening(port: number): Promise<void> {
  while (spawnSync("ssh-keyscan", ["-T", "2", "-p", String(port), "127.0.0.1"]).stdout.length === 0) {
    await pause();
  }
}

async function untilShared(config: string): Promise<void> {
  while (spawnSync("ssh", ["-F", config, "-O", "check", "bench"]).status !== 0) await pause();
}

function pause(): Promise<void> {
  return new Promise((wake) => setTimeout(wake, POLL_MS));
}
