// `exec-server serve`: what it prints, what it refuses, how it ends.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { connect } from "node:net";
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { groupMembers, until } from "../harness/proc.ts";
import { programUnderTest, send } from "../harness/program.ts";
import { runServer, startServer, withServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { isObject } from "../harness/wire_client.ts";

test("prints one line, the URL with the real port, and nothing else", async () => {
  for (const args of [[], ["--listen", "ws://127.0.0.1:0"], ["--listen=ws://[::1]:0"]]) {
    await withServer(args, async (server) => {
      const { hostname, port } = new URL(server.url);
      assert.is(hostname, args[0]?.includes("[::1]") ? "[::1]" : "127.0.0.1");
      assert.ok(Number(port) > 0);
      const client = await server.connect();
      await client.startProcess("p", ["echo", "x"]);
      await client.collect("p");
      await client.close();
      assert.equal(await server.stop(), { code: 0, signal: null });
      assert.equal([server.stdout(), server.stderr()], [`${server.url}\n`, ""]);
    });
  }
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  test(`${signal} ends it with 0; open connections are told`, () =>
    withServer([], async (server) => {
      const client = await server.connect();
      await client.startProcess("p", ["sleep", "1000"]);
      const raw = connect(Number(new URL(server.url).port), "127.0.0.1"); // says nothing
      raw.on("error", () => {});
      await new Promise((ok) => raw.once("connect", ok));
      assert.equal(await server.stop(signal), { code: 0, signal: null });
      const { code, reason } = await client.closed;
      assert.equal([code, reason], [1001, "server is shutting down"]);
      raw.destroy();
    }));
}

for (const [first, second] of [["SIGINT", "SIGTERM"], ["SIGTERM", "SIGTERM"]] as const) {
  test(`${first}, then ${second}: ends it at once with 1, and everything`, () =>
    withServer(["--shutdown-grace", "60"], async (server) => {
      const client = await server.connect();
      await client.startProcess("p", ["sh", "-c", "trap '' TERM; echo $$; sleep 1000 & wait"]);
      const { params } = await client.waitFor(({ method }) => method === "process/output");
      const pid = Number(Buffer.from(String(isObject(params) && params["chunk"]), "base64"));
      send(server.pid, first);
      await client.closed; // it has begun to end
      send(server.pid, second);
      assert.equal(await server.exited, { code: 1, signal: null });
      await until("the guard has ended the rest", () => groupMembers(pid).length === 0);
    }));
}

test("leaves SIGHUP alone that was ignored when it was started, as by nohup", async () => {
  const [program, before] = programUnderTest();
  const nohup = join(tempDir(), "nohup");
  const script = `#!/bin/sh\ntrap '' HUP\nexec ${[program, ...before].join(" ")} "$@"\n`;
  writeFileSync(nohup, script, { mode: 0o755 });
  const server = await startServer({ program: nohup });
  try {
    const client = await server.connect();
    send(server.pid, "SIGHUP");
    await client.startProcess("p", ["sleep", "0.2"]);
    assert.is((await client.collect("p")).exitCode, 0);
    assert.equal(await server.stop(), { code: 0, signal: null });
  } finally {
    await server.stop();
  }
});

test("refuses addresses that are none", async () => {
  const cannot = [
    "ws://localhost:0",
    "ws://127.0.0.1",
    "ws://127.0.0.1:0/path",
    "ws://127.0.0.1:65536",
    "ws://:0",
  ];
  for (
    const value of [
      ...cannot,
      "ws://256.0.0.1:0",
      "ws://::1:0",
      "ws://127.0.0.1:-1",
      "ws://127.0.0.1:x",
      "ws://",
    ]
  ) {
    const { code, stdout, stderr } = await runServer({ args: ["--listen", value] });
    assert.equal([code, stdout], [1, ""], value);
    assert.is(stderr, `Error: invalid websocket --listen URL \`${value}\`; expected \`ws://IP:PORT\`\n`);
  }
  for (
    const value of ["http://127.0.0.1:0", "unix:///tmp/x", "stdio:", "9000", "x", ""]
  ) {
    const { code, stdout, stderr } = await runServer({ args: ["--listen", value] });
    assert.equal([code, stdout], [1, ""], value);
    const expected = "`ws://IP:PORT`, `wss://IP:PORT` or `unix:PATH`";
    assert.is(stderr, `Error: unsupported --listen URL \`${value}\`; expected ${expected}\n`);
  }
});

test("says when it cannot listen", () =>
  withServer([], async (server) => {
    const { code, stdout, stderr } = await runServer({
      args: ["--listen", `ws://${new URL(server.url).host}`],
    });
    assert.equal([code, stdout], [1, ""]);
    assert.match(stderr, /^Error: .*(EADDRINUSE|in use)/);
  }));

test("wrong options exit with 2", async () => {
  const wrong: [string[], RegExp][] = [
    [["--concurrent-requests", "0"], /invalid value '0' for '--concurrent-requests/],
    [["--concurrent-requests", "-1"], /^error: /],
    [["--concurrent-requests", "1.5"], /invalid value '1.5' for '--concurrent-requests/],
    [["--concurrent-requests", "x"], /invalid value 'x' for '--concurrent-requests/],
    [["--session-ttl", "0"], /--session-ttl/],
    [["--log-level", "loud"], /--log-level takes one of/],
    [["--log-format", "xml"], /--log-format takes one of/],
    [["--ws-auth", "magic"], /--ws-auth/],
    [["--listen"], /listen/],
    [["--bogus"], /bogus/],
    [["surplus"], /surplus|Unused/],
  ];
  for (const [args, text] of wrong) {
    const { code, stdout, stderr } = await runServer({
      args: args.concat(args[0] === "--listen" ? [] : ["--listen=ws://127.0.0.1:0"]),
    });
    assert.equal([code, stdout], [2, ""], args.join(" "));
    assert.match(stderr, text, args.join(" "));
  }
});

test("--log-level and --log-format speak on stderr only", () =>
  withServer(["--log-level", "debug", "--log-format", "json"], async (server) => {
    const client = await server.connect();
    await client.close();
    assert.equal(await server.stop(), { code: 0, signal: null });
    assert.is(server.stdout(), `${server.url}\n`);
    const lines = server.stderr().trim().split("\n");
    assert.ok(lines.length >= 3, server.stderr());
    for (const line of lines) JSON.parse(line);
  }));

test.run();
