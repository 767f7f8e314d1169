// Who may ask: Origin and Host, on every route, before anything else is looked at.
import { connect } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment } from "../../mod.ts";
import { askRaw, type RawAnswer, UPGRADE } from "../harness/raw_http.ts";
import { startServer, type TestServer } from "../harness/server.ts";

const PAGE = "https://ide.example:8443";
/** Routes with what they answer to somebody who may ask. */
const ROUTES: [start: string, more: readonly string[], status: number][] = [
  ["GET /", UPGRADE, 101],
  ["GET /", [], 400],
  ["POST /", [], 405],
  ["GET /readyz", [], 200],
  ["DELETE /readyz", [], 405],
  ["GET /foo", UPGRADE, 404],
];

let loopback: TestServer, wildcard: TestServer, six: TestServer;
test.before(async () => {
  loopback = await startServer({
    args: [
      "--allow-origin",
      PAGE,
      "--allow-origin",
      "chrome-extension://abcdef",
      "--allow-host",
      "box.example:7000",
    ],
  });
  const names = ["--allow-host", "Build.example", "--allow-host", "[2001:DB8:0::1]"];
  wildcard = await startServer({ args: ["--listen", "ws://0.0.0.0:0", "--insecure", ...names] });
  six = await startServer({ args: ["--listen", "ws://[0:0:0:0:0:0:0:1]:0"] });
});
test.after(async () => {
  await Promise.all([loopback?.stop(), wildcard?.stop(), six?.stop()]);
});

/** An upgrade with this Host. */
const upgrade = (server: TestServer, ...hosts: string[]): Promise<RawAnswer> =>
  askRaw(server.url.replace("0.0.0.0", "127.0.0.1"), [
    "GET / HTTP/1.1",
    ...hosts.map((host) => `Host: ${host}`),
    ...UPGRADE,
  ]);

test("the Host of each way to a loopback server is accepted, with any port", async () => {
  const { port } = new URL(loopback.url);
  const good = [`127.0.0.1:${port}`, `localhost:${port}`, "localhost", "LOCALHOST:1", "LocalHost"];
  for (
    const host of [
      ...good,
      "127.8.9.1",
      "[::1]:80",
      "[0:0:0:0:0:0:0:1]",
      "box.example:7000",
      "BOX.example:07000",
    ]
  ) {
    assert.is((await upgrade(loopback, host)).status, 101, host);
  }
});

test("any other Host is refused, with what to do", async () => {
  const bad = ["evil.example", "127.0.0.1.evil.com", "localhost.evil.com", "box.example", "box.example:7001"];
  for (
    const host of [
      ...bad,
      "localhost.",
      "sub.localhost",
      "0.0.0.0",
      "192.168.0.1",
      "127.1",
      "2130706433",
      "[::]",
    ]
  ) {
    const { status, body } = await upgrade(loopback, host);
    const name = host.replace(/:\d+$/, "");
    assert.equal(
      [status, body.endsWith(`can allow it: --allow-host ${name}`)],
      [403, true],
      `${host}: ${body}`,
    );
  }
  const malformed = [
    "user@localhost",
    "localhost:",
    "localhost:x",
    "localhost:65536",
    "localhost:80:80",
    "[::1",
    "::1",
  ];
  for (
    const host of [
      ...malformed,
      "",
      "localhost, evil.example",
      "localhost/",
      "http://localhost",
      "[1.2]",
      "lokal\xe4",
    ]
  ) {
    const { status, body } = await upgrade(loopback, host);
    assert.is(status, 403, `${host}: ${body}`);
  }
});

test("a Host that is missing or comes twice is refused", async () => {
  for (
    const hosts of [[], ["localhost", "localhost"], ["localhost", "evil.example"], [
      "evil.example",
      "localhost",
    ]]
  ) {
    assert.equal(await upgrade(loopback, ...hosts), {
      status: 403,
      body: "exactly one Host header is needed",
    });
  }
  assert.is((await askRaw(loopback.url, ["GET /readyz HTTP/1.0"])).status, 403);
});

test("a request target that names a host of its own is refused", async () => {
  const ask = (target: string) =>
    askRaw(loopback.url, [`GET ${target} HTTP/1.1`, "Host: localhost", ...UPGRADE]);
  for (const target of ["http://evil.example/", "http://localhost/readyz"]) {
    assert.equal(await ask(target), { status: 403, body: "the request target must be a path, not a URL" });
  }
  for (const target of ["ws://localhost/", "localhost"]) {
    const { status } = await ask(target); // no HTTP to Bun's parser
    assert.ok([400, 403].includes(status), `${target}: ${status}`);
  }
});

test("folded and misspelt headers get nowhere", async () => {
  for (
    const lines of [["Host : localhost"], ["Host: a", " localhost"], [" Host: localhost"], ["Host: loc\0al"]]
  ) {
    const { status } = await askRaw(loopback.url, ["GET / HTTP/1.1", ...lines, ...UPGRADE]);
    assert.is(status, 400, lines.join("|"));
  }
});

test("both are looked at on every route, Origin first", async () => {
  for (const [start, more, status] of ROUTES) {
    const ask = (...lines: string[]) => askRaw(loopback.url, [`${start} HTTP/1.1`, ...lines, ...more]);
    assert.is((await ask("Host: localhost")).status, status, start);
    const strange = await ask("Host: evil.example");
    assert.is(strange.status, 403, start);
    assert.match(strange.body, /--allow-host evil\.example$/, start);
    for (const origin of ["https://evil.example", "null", ""]) {
      for (const host of ["localhost", "evil.example"]) {
        const answer = await ask(`Host: ${host}`, `Origin: ${origin}`);
        assert.equal(answer, { status: 403, body: "" }, `${start} from '${origin}' for ${host}`);
      }
    }
    assert.is((await ask("Host: localhost", `Origin: ${PAGE}`)).status, status, start);
    assert.is((await ask("Host: evil.example", `Origin: ${PAGE}`)).status, 403, start);
  }
});

test("only the very origin is allowed", async () => {
  const origins = [
    PAGE.replace("8443", "8444"),
    "https://ide.example",
    "http://ide.example:8443",
    `${PAGE}/`,
  ];
  for (const origin of [...origins, PAGE.toUpperCase(), `${PAGE}.evil.com`, `${PAGE}, ${PAGE}`]) {
    const { status } = await askRaw(loopback.url, [
      "GET / HTTP/1.1",
      "Host: localhost",
      `Origin: ${origin}`,
      ...UPGRADE,
    ]);
    assert.is(status, 403, origin);
  }
  const two = ["GET / HTTP/1.1", "Host: localhost", `Origin: ${PAGE}`, `Origin: ${PAGE}`, ...UPGRADE];
  assert.is((await askRaw(loopback.url, two)).status, 403);
  const extension = ["GET / HTTP/1.1", "Host: localhost", "Origin: chrome-extension://abcdef", ...UPGRADE];
  assert.is((await askRaw(loopback.url, extension)).status, 101);
});

test("a second request of the same connection is looked at too", async () => {
  const { port } = new URL(loopback.url);
  const text = await new Promise<string>((ok, fail) => {
    const socket = connect(Number(port), "127.0.0.1");
    let all = "";
    socket.on("data", (data) => all += data.toString()).on("error", fail).on("close", () => ok(all));
    socket.write(
      `GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: evil.example\r\n\r\n`,
    );
  });
  assert.is(text.match(/HTTP\/1\.1 200 /g)?.length, 1, text);
});

test("a server on all addresses answers to the allowed names, to its address and on loopback", async () => {
  const good = [
    "build.example",
    "BUILD.EXAMPLE:9",
    "[2001:db8::1]:443",
    "[2001:db8:0:0::1]",
    "0.0.0.0:1",
    "127.0.0.1",
  ];
  for (const host of good) assert.is((await upgrade(wildcard, host)).status, 101, host);
  for (const host of ["evil.example", "192.168.0.1", "box.example:7000"]) {
    assert.is((await upgrade(wildcard, host)).status, 403, host);
  }
});

test("IPv6 addresses are compared as addresses", async () => {
  assert.match(six.url, /^ws:\/\/\[::1\]:\d+\/\?token=/);
  for (const host of ["[::1]", "[0::1]:5", "localhost", "127.0.0.1"]) {
    assert.is((await upgrade(six, host)).status, 101, host);
  }
  for (const host of ["[::2]", "[::ffff:127.0.0.1]"]) assert.is((await upgrade(six, host)).status, 403, host);
});

test("clients connect by address and by name", async () => {
  for (const url of [loopback.url, loopback.url.replace("127.0.0.1", "localhost"), wildcard.url]) {
    await using there = await Environment.connect(url);
    assert.ok(there.sessionId, url);
  }
});

test.run();
