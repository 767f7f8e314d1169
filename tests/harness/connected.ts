/** The frame of a test file: a server for all of its tests, and a fresh connection for each. */
import { test } from "uvu";
import { type ServerOptions, startServer, type TestServer } from "./server.ts";
import type { WireClient } from "./wire_client.ts";

/** Registers the hooks. @param use gets both before each test; the server is the same for all */
export function connected(
  use: (client: WireClient, server: TestServer) => void,
  options: ServerOptions = {},
): void {
  let server: TestServer;
  let client: WireClient;
  test.before(async () => {
    server = await startServer(options);
  });
  test.before.each(async () => {
    client = await server.connect();
    use(client, server);
  });
  test.after.each(async () => {
    await client.terminate();
  });
  test.after(async () => {
    await server.stop();
  });
}
