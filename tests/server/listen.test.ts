// Where `serve` listens and where it refuses to: unprotected where others could reach it, or with options that do not fit.
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { type Authority, makeAuthority } from "../harness/certificates.ts";
import { runServer, startServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";

let authority: Authority;
test.before(() => {
  authority = makeAuthority("of the test");
});

async function refused(args: string[], code: number, text: RegExp): Promise<void> {
  const ended = await runServer({ args });
  assert.equal([ended.code, ended.stdout], [code, ""], args.join(" "));
  assert.match(ended.stderr, text, args.join(" "));
}

test("where others can reach it, it wants TLS or --insecure", async () => {
  for (const address of ["0.0.0.0", "[::]", "192.0.2.1", "[2001:db8::1]", "[::ffff:127.0.0.1]"]) {
    await refused(
      ["--listen", `ws://${address}:0`, "--allow-host", "build.example"],
      2,
      /^error: --listen .* can be reached from other machines, .*wss:\/\/.* --tls-cert.*--insecure/,
    );
  }
});

test("on all addresses it wants to be told its names", async () => {
  const { cert, key } = authority.issue("server");
  for (const address of ["0.0.0.0", "[::]", "[0:0::0]"]) {
    await refused(
      ["--listen", `ws://${address}:0`, "--insecure"],
      2,
      /every address of this machine.*--allow-host NAME/,
    );
    await refused(
      ["--listen", `wss://${address}:0`, "--tls-cert", cert, "--tls-key", key],
      2,
      /--allow-host NAME/,
    );
  }
});

test("--insecure listens where others can reach it", async () => {
  const outer = Object.values(networkInterfaces()).flat().find((one) =>
    one?.family === "IPv4" && !one.internal
  );
  const address = outer?.address ?? "0.0.0.0"; // a machine without a network has no better one
  const server = await startServer({
    args: ["--listen", `ws://${address}:0`, "--insecure", ...outer ? [] : ["--allow-host", "build.example"]],
  });
  try {
    assert.ok(server.url.startsWith(`ws://${address}:`), server.url);
    await using there = await Environment.connect(server.url);
    assert.ok(there.sessionId);
  } finally {
    await server.stop();
  }
});

test("127.0.0.2 is loopback too", async () => {
  const server = await startServer({ args: ["--listen", "ws://127.0.0.2:0"] });
  try {
    await using there = await Environment.connect(server.url);
    assert.ok(there.sessionId);
  } finally {
    await server.stop();
  }
});

test("options that do not fit each other", async () => {
  const { cert, key } = authority.issue("server");
  const loopback = ["--listen", "ws://127.0.0.1:0"], tls = ["--listen", "wss://127.0.0.1:0"];
  const socket = ["--listen", `unix:${join(tempDir(), "s")}`];
  await refused(tls, 2, /needs --tls-cert FILE and --tls-key FILE/);
  await refused([...tls, "--tls-cert", cert], 2, /needs --tls-cert FILE and --tls-key FILE/);
  for (const option of ["--tls-cert", "--tls-key", "--tls-client-ca"]) {
    await refused([...loopback, option, cert], 2, /need --listen wss:/);
    await refused([...socket, option, key], 2, /need --listen wss:/);
  }
  await refused([...socket, "--allow-host", "x"], 2, /--allow-host has no meaning with a Unix socket/);
  await refused(
    ["--listen", "wss://localhost:0"],
    1,
    /^Error: invalid websocket --listen URL .*; expected `wss:\/\/IP:PORT`/,
  );
});

test("hosts and origins that are none", async () => {
  for (const host of ["", "a b", "http://x", "x:y", "x:70000", "u@x", "*", "[::1"]) {
    await refused(["--allow-host", host], 2, /'--allow-host': expected NAME or NAME:PORT/);
  }
  const bad = [
    "null",
    "*",
    "",
    "ide.example",
    "https://ide.example/",
    "HTTPS://ide.example",
    "https://IDE.example",
  ];
  for (
    const origin of [
      ...bad,
      "https://ide.example:443",
      "https://*.example",
      "https://u@ide.example",
      "https://a b",
    ]
  ) {
    await refused(["--allow-origin", origin], 2, /'--allow-origin': expected what browsers send/);
  }
});

test.run();
