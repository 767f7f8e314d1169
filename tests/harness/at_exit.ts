import process from "node:process";

const tasks: (() => void)[] = [];
const fatal = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs `task` when the test process ends: at its natural end, on an uncaught exception, on `process.exit` and on
 * SIGINT, SIGTERM and SIGHUP. The newest task runs first. A task must be synchronous and must not throw.
 */
export function atExit(task: () => void): void {
  if (tasks.length === 0) install();
  tasks.push(task);
}

function install(): void {
  process.on("exit", () => {
    for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) task();
  });
  process.on("SIGINT", () => process.exit(fatal.SIGINT));
  process.on("SIGTERM", () => process.exit(fatal.SIGTERM));
  process.on("SIGHUP", () => process.exit(fatal.SIGHUP));
}
