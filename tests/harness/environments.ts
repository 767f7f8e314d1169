/** Where the contract suites run: on this machine directly, and through a server on this machine. */
import { Environment } from "../../src/environment.ts";
import { localFiles } from "../../src/files/local.ts";
import type { Files } from "../../src/files/trait.ts";
import { startServer } from "./server.ts";

/** Each environment by name, and how to open it. */
export const environments: [name: string, open: () => Promise<{ files: Files; close(): Promise<void> }>][] = [
  ["local", () => Promise.resolve({ files: localFiles(), close: () => Promise.resolve() })],
  ["remote", async () => {
    const server = await startServer();
    const { files, close } = await Environment.connect(server.url);
    return {
      files,
      async close() {
        await close();
        await server.stop();
      },
    };
  }],
];
