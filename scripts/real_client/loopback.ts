import type { Server } from "node:net";

/** Listens on a free port of 127.0.0.1 and resolves with it. */
export async function listenOnLoopback(server: Server): Promise<number> {
  await new Promise<void>((ok, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", ok);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  return address.port;
}
