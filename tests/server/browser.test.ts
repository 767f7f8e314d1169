// What a web page in a real browser can do to a server on the same machine: nothing, also when it knows the token.
import { Buffer } from "node:buffer";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { visit } from "../harness/browser.ts";
import { startServer, type TestServer, withServer } from "../harness/server.ts";

/** A server that says who has connected. */
const withTalkative = (check: (server: TestServer) => Promise<void>) =>
  withServer(["--log-level", "debug"], check);

/** For scripts: whether a WebSocket opens, and whether anything can be read by fetch. */
const TOOLS = `
  const socket = (...args) => new Promise((done) => {
    const socket = new WebSocket(...args);
    socket.onopen = () => { done("open " + socket.protocol); socket.close(); };
    socket.onerror = () => done("refused");
  });
  const get = (url, options) => fetch(url, options)
    .then(async (answer) => [answer.type, answer.status, await answer.text()], () => "failed");
`;
const protocolsOf = (token: string) =>
  JSON.stringify(["exec-server.v1", `exec-server.token.${Buffer.from(token).toString("base64url")}`]);

/** Every way to a connection and to an answer that can be read, from a page of another origin. */
function attempts(server: TestServer): string {
  const { host, port, searchParams } = new URL(server.url);
  const token = searchParams.get("token") ?? "";
  return `${TOOLS}
    const nullOrigin = () => new Promise((done) => {
      addEventListener("message", ({ data }) => done(data));
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-scripts"; // its origin is null
      frame.srcdoc = "<script>const s = new WebSocket('${server.url}');" +
        "s.onopen = () => parent.postMessage('open', '*'); s.onerror = () => parent.postMessage('refused', '*');" +
        "<" + "/script>";
      document.documentElement.append(frame);
    });
    return {
      sockets: [
        await socket("ws://${host}/"),
        await socket("${server.url}"),
        await socket("ws://localhost:${port}/?token=${token}"),
        await socket("ws://${host}/", ${protocolsOf(token)}),
        await nullOrigin(),
      ],
      readable: [
        await get("http://${host}/readyz"),
        await get("http://${host}/", { method: "POST", body: "x" }),
        await get("http://${host}/?token=${token}", { headers: { authorization: "Bearer ${token}" } }),
      ],
      opaque: [
        await get("http://${host}/readyz", { mode: "no-cors" }),
        await get("http://${host}/?token=${token}", { mode: "no-cors", method: "POST", body: "x" }),
      ],
    };
  `;
}

test("a page of another origin cannot open a connection nor read an answer, also with the token", () =>
  withTalkative(async (server) => {
    const page = await visit(() => attempts(server));
    try {
      assert.equal(await page.result, {
        sockets: ["refused", "refused", "refused", "refused", "refused"],
        readable: ["failed", "failed", "failed"],
        opaque: [["opaque", 0, ""], ["opaque", 0, ""]], // what no-cors gives: nothing that can be read
      });
      assert.not.match(server.stderr(), /connection opened/);
      assert.match(server.stderr(), /connection refused.*"?status"?[=:]403/);
    } finally {
      await page.close();
    }
  }));

test("a page whose origin is allowed connects with the token in a subprotocol, and only with it", async () => {
  let server: TestServer | undefined;
  const page = await visit(async (origin) => {
    server = await startServer({ args: ["--allow-origin", origin] });
    const { host, searchParams } = new URL(server.url);
    return `${TOOLS}
      return [
        await socket("ws://${host}/", ${protocolsOf(searchParams.get("token") ?? "")}),
        await socket("ws://${host}/", ${protocolsOf("x")}),
        await socket("ws://${host}/"),
      ];`;
  });
  try {
    assert.equal(await page.result, ["open exec-server.v1", "refused", "refused"]);
  } finally {
    await page.close();
    await server?.stop();
  }
});

test("a name that is made to lead here does not get in either", () =>
  withTalkative(async (server) => {
    const { port, searchParams } = new URL(server.url);
    const token = searchParams.get("token") ?? "";
    const page = await visit((origin) =>
      `${TOOLS}
      const host = ${JSON.stringify(new URL(origin).host)};
      return [
        await get("/readyz"),
        await get("/?token=${token}"),
        await socket("ws://" + host + "/?token=${token}"),
        await socket("ws://" + host + "/", ${protocolsOf(token)}),
      ];`, { name: "evil.test", rebindTo: Number(port) });
    try {
      const result = await page.result;
      assert.ok(Array.isArray(result), String(result));
      const [ready, root, ...sockets]: unknown[] = result;
      assert.equal(sockets, ["refused", "refused"]);
      for (const answer of [ready, root]) {
        assert.ok(Array.isArray(answer));
        assert.equal(answer.slice(0, 2), ["basic", 403]);
      }
      assert.not.match(server.stderr(), /connection opened/);
    } finally {
      await page.close();
    }
  }));

test.run();
