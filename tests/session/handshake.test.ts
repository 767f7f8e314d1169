/** A connection that breaks before the handshake is done was never made: it is told as such. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { WebSocketServer } from "ws";
import { Environment } from "../../mod.ts";
import { codeOf } from "../harness/code_of.ts";

const test = suite("first connection");

test("a socket that breaks during the handshake is a failed connection", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  server.on("connection", (socket) => socket.on("message", () => socket.terminate()));
  const { port } = addressOf(server.address());
  assert.is(await codeOf(Environment.connect(`ws://127.0.0.1:${port}`)), "CONNECT_FAILED");
  await new Promise((resolve) => server.close(resolve));
});

test("nobody listens", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const { port } = addressOf(server.address());
  await new Promise((resolve) => server.close(resolve));
  assert.is(await codeOf(Environment.connect(`ws://127.0.0.1:${port}`)), "CONNECT_FAILED");
});

function addressOf(address: AddressInfo | string | null): AddressInfo {
  if (address === null || typeof address === "string") throw new Error("a TCP server has an address");
  return address;
}

test.run();
