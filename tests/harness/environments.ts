/** Where the contract suites run: on this machine directly, and through a server on this machine. */
import { test } from "uvu";
import type { RemoteOptions } from "../../src/client/link.ts";
import { Environment } from "../../src/environment.ts";
import type { Processes } from "../../src/process/trait.ts";
import { startServer, type TestServer } from "./server.ts";

let server: Promise<TestServer> | undefined;

type Named = [name: "local" | "remote" | "remote, JSON only", open: () => Promise<Environment>];

const connect = async (options: RemoteOptions): Promise<Environment> => {
  server ??= startServer();
  return await Environment.connect((await server).url, options);
};

/** Each environment by name, and how to open it. All remote ones of a test file share one server. */
export const environments: Named[] = [
  ["local", () => Promise.resolve(Environment.local())],
  ["remote", () => connect({})],
];

/** The same, and once more without binary messages: for what those can carry. */
export const environmentsAndJson: Named[] = [
  ...environments,
  ["remote, JSON only", () => connect({ binary: false })],
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
