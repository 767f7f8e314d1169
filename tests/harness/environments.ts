/** Where the contract suites run: on this machine directly, and through a server on this machine. */
import { test } from "uvu";
import { Environment } from "../../src/environment.ts";
import type { Processes } from "../../src/process/trait.ts";
import { startServer, type TestServer } from "./server.ts";

let server: Promise<TestServer> | undefined;

/** Each environment by name, and how to open it. All remote ones of a test file share one server. */
export const environments: [name: "local" | "remote", open: () => Promise<Environment>][] = [
  ["local", () => Promise.resolve(Environment.local())],
  ["remote", async () => {
    server ??= startServer();
    return await Environment.connect((await server).url);
  }],
];

test.after(async () => {
  await (await server)?.stop();
});

/**
 * How a contract of processes registers its tests.
 * @param use gets the processes of a fresh environment before each test
 */
export function processTests(
  name: string,
  open: () => Promise<Environment>,
  use: (processes: Processes) => void,
): (title: string, check: () => Promise<void>) => void {
  return (title, check) =>
    test(`${name}: ${title}`, async () => {
      await using environment = await open();
      use(environment.processes);
      await check();
    });
}
