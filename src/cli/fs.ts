/** `exec-server fs OPERATION PATH…`. */
import { constants } from "node:os";
import { posix } from "node:path";
import process from "node:process";
import type { Environment } from "../environment.ts";
import type { FileStat } from "../files/trait.ts";
import { complain, ExitCode, explain, UsageError } from "./exit.ts";
import { type Options, switchOption } from "./options.ts";
import { onSignals } from "./signals.ts";
import { chosenServer, openEnvironment } from "./server_choice.ts";

type Operation = (environment: Environment, path: string, options: Options) => Promise<void>;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  async cat(environment, path) {
    const reader = environment.files.readStream(path).getReader();
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) await print(next.value);
    } finally {
      await reader.cancel().catch(() => {}); // also closes what nobody wants to read to its end
    }
  },
  async put(environment, path) {
    const writer = environment.files.writeStream(path).getWriter();
    writer.closed.catch(() => {}); // told by what is waited for
    // Local or remote, nothing half may stay behind.
    let leaving: Promise<never> | undefined;
    const quit = (name: "SIGHUP" | "SIGINT" | "SIGTERM") => () => {
      leaving ??= writer.abort().catch(() => {}).then(() => process.exit(128 + constants.signals[name]));
    };
    const stop = onSignals({ SIGHUP: quit("SIGHUP"), SIGINT: quit("SIGINT"), SIGTERM: quit("SIGTERM") });
    try {
      for await (const chunk of process.stdin) {
        if (chunk instanceof Uint8Array) await writer.write(chunk);
      }
      await writer.close();
    } catch (error) {
      await leaving; // what failed then is only that we end
      await writer.abort(error).catch(() => {});
      throw error;
    } finally {
      stop();
    }
  },
  async ls(environment, path, options) {
    const entries = await environment.files.list(path);
    if (switchOption(options, "json")) printJson(entries);
    else for (const entry of entries) process.stdout.write(`${entry.name}${entry.isDirectory ? "/" : ""}\n`);
  },
  async rm(environment, path, options) {
    await environment.files.remove(path, {
      recursive: switchOption(options, "recursive"),
      force: switchOption(options, "force"),
    });
  },
  async mkdir(environment, path, options) {
    await environment.files.mkdir(path, { recursive: switchOption(options, "parents") });
  },
  async stat(environment, path, options) {
    const stat = await environment.files.stat(path);
    if (switchOption(options, "json")) printJson({ path, ...stat });
    else {process.stdout.write(
        `${describe(stat)}\t${stat.size}\t${new Date(stat.modifiedAtMs).toISOString()}\t${path}\n`,
      );}
  },
};

/** The names of the operations, for the help. */
export const FS_OPERATIONS: readonly string[] = Object.keys(OPERATIONS);

/** Does an operation on each path; goes on after a failure and then returns 1. */
export async function fs(name: string, paths: readonly string[], options: Options): Promise<number> {
  const operation = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (!operation) throw new UsageError(`unknown operation '${name}': use one of ${FS_OPERATIONS.join(", ")}`);
  if (paths.length === 0) throw new UsageError(`fs ${name} needs a path`);
  if (name === "put" && paths.length > 1) throw new UsageError("fs put takes one path");
  let failed = false;
  try {
    await using environment = await openEnvironment(chosenServer(options), options);
    const { cwd = "/" } = await environment.info.get();
    for (const path of paths) {
      try {
        await operation(environment, posix.resolve(cwd, path), options);
      } catch (error) {
        failed = true;
        complain(`${path}: ${explain(error)}`);
      }
    }
  } catch (error) {
    if (error instanceof UsageError) throw error;
    complain(explain(error));
    failed = true;
  }
  return failed ? ExitCode.failure : 0;
}

/** Resolves when it is written, so that no more is read than somebody takes. */
async function print(bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) =>
    process.stdout.write(bytes, (error) => error ? reject(error) : resolve())
  );
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

function describe(stat: FileStat): string {
  const kind = stat.isDirectory ? "directory" : stat.isFile ? "file" : "special";
  return stat.isSymlink ? `link to ${kind}` : kind;
}
