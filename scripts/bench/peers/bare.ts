/** The limit of this machine: bare.c, compiled with gcc, or for starts alone a loop in Python. */
import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SOURCE = fileURLToPath(new URL("bare.c", import.meta.url));
const COMPILE_LIMIT_MS = 60_000;
const RUN_LIMIT_MS = 120_000;

/** `spawn COUNT AT_ONCE` of bare.c; `os.posix_spawn` calls the same function of libc. */
const PYTHON_SPAWN = `
import os, sys, time
count, at_once, running = int(sys.argv[2]), int(sys.argv[3]), 0
start = time.monotonic()
while count or running:
    while count and running < at_once:
        os.posix_spawn("/bin/true", ["/bin/true"], os.environ)
        count, running = count - 1, running + 1
    os.wait()
    running -= 1
print(time.monotonic() - start)
`;

/** Runs modes of bare.c. */
export interface Bare {
  /** What it is made of, for the page. */
  readonly kind: string;
  /** The seconds that a mode took. @throws when it is not there */
  seconds(...args: (string | number)[]): Promise<number>;
}

/** Compiles bare.c into a folder, or falls back to Python. */
export function prepareBare(folder: string): Bare {
  const program = join(folder, "bare");
  const compiled = spawnSync("gcc", ["-O2", "-o", program, SOURCE, "-lutil"], { timeout: COMPILE_LIMIT_MS });
  if (compiled.status === 0) {
    return { kind: "a C program compiled with gcc", seconds: (...args) => measure(program, args) };
  }
  return {
    kind: "a Python loop over os.posix_spawn (no gcc here)",
    seconds(mode = "", ...args) {
      if (mode !== "spawn") throw new Error("it needs gcc");
      return measure("python3", ["-c", PYTHON_SPAWN, mode, ...args]);
    },
  };
}

async function measure(program: string, args: readonly (string | number)[]): Promise<number> {
  const { stdout } = await promisify(execFile)(program, args.map(String), { timeout: RUN_LIMIT_MS });
  return Number(stdout);
}
