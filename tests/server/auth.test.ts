// Who may connect. The cases of the reference's modes also run against the original, with EXEC_SERVER_KIND=codex.
import { Buffer } from "node:buffer";
import { createHash, createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type HttpAnswer, httpRequest, UPGRADE_HEADERS } from "../harness/http_request.ts";
import { isCodex, runServer, type TestServer, withServer } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { createAttempts, MAX_FAILED_ATTEMPTS } from "../../src/server/auth_attempts.ts";

const TOKEN = "a chosen token";
const SECRET = "0123456789abcdef0123456789abcdef";
const folder = tempDir();
const file = (name: string, content: string) => {
  const path = join(folder, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};
const tokenFile = file("token", `  ${TOKEN}\n`);
const secretFile = file("secret", `${SECRET}\n`);
const digest = createHash("sha256").update(TOKEN).digest("hex");
const now = () => Math.floor(Date.now() / 1000);

/** Asks for an upgrade; `status` 101 when it is granted. */
function upgrade(server: TestServer, headers: Record<string, string>, path = "/"): Promise<HttpAnswer> {
  return httpRequest(server.url, { path, headers: { ...UPGRADE_HEADERS, ...headers } });
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
/** A token made without the library that checks it. */
function jwt(
  claims: object,
  { header = { alg: "HS256", typ: "JWT" } as object, secret = SECRET } = {},
): string {
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** What is sent, and what is answered: a body for 401, nothing for 101. */
type Case = [name: string, headers: Record<string, string>, body?: string];
const capabilityCases = (): Case[] => [
  ["right", bearer(TOKEN)],
  ["scheme in other letters", { authorization: `bEARER ${TOKEN}` }],
  ["spaces round it", { authorization: `Bearer   ${TOKEN}  ` }],
  ["none", {}, "missing websocket bearer token"],
  ["other scheme", { authorization: "Basic abc" }, "invalid authorization header"],
  ["scheme alone", { authorization: "Bearer" }, "invalid authorization header"],
  ["scheme and a space", { authorization: "Bearer " }, "invalid authorization header"],
  ["bare", { authorization: "secret" }, "invalid authorization header"],
  ["wrong", bearer("wrong"), "invalid websocket bearer token"],
  ["one letter less", bearer(TOKEN.slice(0, -1)), "invalid websocket bearer token"],
  ["its digest", bearer(digest), "invalid websocket bearer token"],
];
const jwtCases = (): Case[] => [
  ["good", bearer(jwt({ exp: now() + 60 }))],
  ["expired within the skew", bearer(jwt({ exp: now() - 20 }))],
  ["expired", bearer(jwt({ exp: now() - 40 })), "expired websocket jwt"],
  ["not yet within the skew", bearer(jwt({ exp: now() + 90, nbf: now() + 20 }))],
  ["not yet", bearer(jwt({ exp: now() + 90, nbf: now() + 40 })), "websocket jwt is not valid yet"],
  ["issued in the future", bearer(jwt({ exp: now() + 90, iat: now() + 80 }))],
  ["without exp", bearer(jwt({ sub: "me" })), "invalid websocket jwt"],
  ["exp is a text", bearer(jwt({ exp: String(now() + 60) })), "invalid websocket jwt"],
  ["exp is a fraction", bearer(jwt({ exp: now() + 60.5 })), "invalid websocket jwt"],
  ["other secret", bearer(jwt({ exp: now() + 60 }, { secret: `${SECRET}x` })), "invalid websocket jwt"],
  ["alg none", bearer(`${encode({ alg: "none" })}.${encode({ exp: now() + 60 })}.`), "invalid websocket jwt"],
  ["alg HS512", bearer(jwt({ exp: now() + 60 }, { header: { alg: "HS512" } })), "invalid websocket jwt"],
  ["no JWT", bearer("abc"), "invalid websocket jwt"],
  ["claims are no object", bearer(jwt([1])), "invalid websocket jwt"],
  ["any issuer and audience", bearer(jwt({ exp: now() + 60, iss: "x", aud: "y" }))],
  ["none", {}, "missing websocket bearer token"],
  ["scheme alone", { authorization: "Bearer" }, "invalid authorization header"],
];
const strictCases = (): Case[] => {
  const good = { exp: now() + 600, iss: "me", aud: "you" };
  return [
    ["good", bearer(jwt(good))],
    ["one of several audiences", bearer(jwt({ ...good, aud: ["them", "you"] }))],
    ["expired within the skew", bearer(jwt({ ...good, exp: now() - 3 }))],
    ["expired", bearer(jwt({ ...good, exp: now() - 20 })), "expired websocket jwt"],
    ["other issuer", bearer(jwt({ ...good, iss: "x" })), "websocket jwt issuer mismatch"],
    ["no issuer", bearer(jwt({ ...good, iss: undefined })), "websocket jwt issuer mismatch"],
    ["other audience", bearer(jwt({ ...good, aud: "x" })), "websocket jwt audience mismatch"],
    ["other audiences", bearer(jwt({ ...good, aud: ["x", "y"] })), "websocket jwt audience mismatch"],
    ["no audience", bearer(jwt({ ...good, aud: undefined })), "websocket jwt audience mismatch"],
  ];
};

const signed = ["--ws-auth", "signed-bearer-token", "--ws-shared-secret-file", secretFile];
/** The cases are made when the server runs: their times count from then. */
const servers: [string, string[], () => Case[]][] = [
  [
    "capability-token, file",
    ["--ws-auth", "capability-token", "--ws-token-file", tokenFile],
    capabilityCases,
  ],
  [
    "capability-token, digest",
    ["--ws-auth", "capability-token", "--ws-token-sha256", digest.toUpperCase()],
    capabilityCases,
  ],
  ["signed-bearer-token", signed, jwtCases],
  [
    "signed-bearer-token, strict",
    [...signed, "--ws-issuer", "me", "--ws-audience", "you", "--ws-max-clock-skew-seconds", "5"],
    strictCases,
  ],
];
for (const [name, args, cases] of servers) {
  test(name, () =>
    withServer(args, async (server) => {
      assert.not.match(server.url, /token/);
      for (const [what, headers, body] of cases()) {
        const answer = await upgrade(server, headers);
        assert.equal([answer.status, answer.body], body === undefined ? [101, ""] : [401, body], what);
        if (body !== undefined) assert.is(answer.headers["content-type"], "text/plain; charset=utf-8");
      }
      const query = await upgrade(server, {}, `/?token=${encodeURIComponent(TOKEN)}`);
      assert.equal([query.status, query.body], [401, "missing websocket bearer token"]);
      const { host } = new URL(server.url);
      assert.is((await fetch(`http://${host}/readyz`)).status, 200);
      const shape = await upgrade(server, { "sec-websocket-version": "8" });
      assert.is(shape.status, 400, "the shape of the upgrade comes first");
    }));
}

const capability = ["--ws-auth", "capability-token"];
const missing = join(folder, "missing");
const startupErrors: [string[], string][] = [
  [
    capability,
    "`--ws-token-file` or `--ws-token-sha256` is required when `--ws-auth capability-token` is set",
  ],
  [
    [...capability, "--ws-token-file", tokenFile, "--ws-token-sha256", digest],
    "`--ws-token-file` and `--ws-token-sha256` are mutually exclusive",
  ],
  [[...capability, "--ws-token-sha256", "zz"], "--ws-token-sha256 must be a 64-character hex SHA-256 digest"],
  [
    [...capability, "--ws-token-file", missing],
    `failed to read websocket auth secret ${missing}: No such file or directory (os error 2)`,
  ],
  [
    [...capability, "--ws-token-file", folder],
    `failed to read websocket auth secret ${folder}: Is a directory (os error 21)`,
  ],
  [
    [...capability, "--ws-token-file", file("empty", " \n")],
    `websocket auth secret ${join(folder, "empty")} must not be empty`,
  ],
  [
    [...capability, "--ws-token-file", tokenFile, "--ws-issuer", "x"],
    "`--ws-shared-secret-file`, `--ws-issuer`, `--ws-audience`, and `--ws-max-clock-skew-seconds` require " +
    "`--ws-auth signed-bearer-token`",
  ],
  [
    ["--ws-token-sha256", digest],
    "websocket auth flags require `--ws-auth capability-token` or `--ws-auth signed-bearer-token`",
  ],
  [
    ["--ws-issuer", "x"],
    "websocket auth flags require `--ws-auth capability-token` or `--ws-auth signed-bearer-token`",
  ],
  [
    ["--ws-auth", "signed-bearer-token"],
    "`--ws-shared-secret-file` is required when `--ws-auth signed-bearer-token` is set",
  ],
  [
    [...signed, "--ws-token-sha256", digest],
    "`--ws-token-file` and `--ws-token-sha256` require `--ws-auth capability-token`, not `signed-bearer-token`",
  ],
  [
    ["--ws-auth", "signed-bearer-token", "--ws-shared-secret-file", file("short", "short\n")],
    `signed websocket bearer secret ${join(folder, "short")} must be at least 32 bytes`,
  ],
];
test("start-up errors", async () => {
  for (const [args, text] of startupErrors) {
    const { code, stdout, stderr } = await runServer({ args: [...args, "--listen", "ws://127.0.0.1:0"] });
    assert.equal([code, stdout, stderr.split("\n")[0]], [1, "", `Error: ${text}`], args.join(" "));
  }
});

if (!isCodex) {
  const withToken = (check: (server: TestServer, token: string) => Promise<void>) =>
    withServer([], (server) => check(server, new URL(server.url).searchParams.get("token") ?? ""));
  const inProtocol = (token: string) => `exec-server.token.${Buffer.from(token).toString("base64url")}`;

  test("by default a random token is needed, in the header, the query or a subprotocol", () =>
    withToken(async (server, token) => {
      assert.is(Buffer.from(token, "base64url").length, 32);
      const protocols = `exec-server.v1, ${inProtocol(token)}`;
      const accepted: [Record<string, string>, string][] = [
        [bearer(token), "/"],
        [{}, `/?token=${token}`],
        [{}, `/?a=b&token=${token}`],
        [{ "sec-websocket-protocol": protocols }, "/"],
      ];
      for (const [headers, path] of accepted) {
        assert.is((await upgrade(server, headers, path)).status, 101, path);
      }
      const chosen = await upgrade(server, { "sec-websocket-protocol": protocols });
      assert.is(chosen.headers["sec-websocket-protocol"], "exec-server.v1"); // the token is not sent back
      const wrong = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
      const refused: [Record<string, string>, string, string][] = [
        [{}, "/", "missing websocket bearer token"],
        [{}, "/?token", "invalid websocket bearer token"],
        [{}, `/?token=${token}x`, "invalid websocket bearer token"],
        [{}, `/?Token=${token}`, "missing websocket bearer token"],
        [bearer(wrong), "/", "invalid websocket bearer token"],
        [bearer("x"), `/?token=${token}`, "invalid websocket bearer token"], // the header counts
        [
          { "sec-websocket-protocol": `exec-server.v1, ${inProtocol("x")}` },
          "/",
          "invalid websocket bearer token",
        ],
        [{ "sec-websocket-protocol": "exec-server.v1" }, "/", "missing websocket bearer token"],
      ];
      for (const [headers, path, body] of refused) {
        const answer = await upgrade(server, headers, path);
        assert.equal([answer.status, answer.body], [401, body], path);
      }
    }));

  test("two servers have two tokens", () =>
    withToken((_one, token) =>
      withToken(async (other, otherToken) => {
        assert.is.not(token, otherToken);
        assert.is((await upgrade(other, bearer(token))).status, 401);
      })
    ));

  test("after many wrong tokens a chosen one is not even compared, our own still counts", async () => {
    await withServer(["--ws-auth", "capability-token", "--ws-token-file", tokenFile], async (server) => {
      for (let i = 0; i < MAX_FAILED_ATTEMPTS; i++) {
        assert.is((await upgrade(server, bearer("wrong"))).status, 401, String(i));
      }
      const { status, body, headers } = await upgrade(server, bearer(TOKEN));
      assert.is(status, 429);
      assert.match(body, /^too many failed attempts to authenticate; try again in \d+ s$/);
      assert.ok(Number(headers["retry-after"]) > 0);
    });
    await withToken(async (server, token) => {
      for (let i = 0; i < MAX_FAILED_ATTEMPTS; i++) await upgrade(server, bearer("wrong"));
      assert.is((await upgrade(server, bearer("wrong"))).status, 429);
      assert.is((await upgrade(server, bearer(token))).status, 101);
    });
  });

  test("nobody is locked out by those who show no token, nor with a long token by those who show wrong ones", async () => {
    await withServer(["--ws-auth", "capability-token", "--ws-token-file", tokenFile], async (server) => {
      assert.match(server.stderr(), /warn .*the token has fewer than 32 characters/);
      for (let i = 0; i < 2 * MAX_FAILED_ATTEMPTS; i++) {
        const { status, body } = await upgrade(server, i % 2 === 0 ? {} : { authorization: "Basic abc" });
        assert.is(status, 401, body);
      }
      assert.is((await upgrade(server, bearer(TOKEN))).status, 101);
    });
    const long = "a-long-random-token-0123456789abcdef";
    const longDigest = createHash("sha256").update(long).digest("hex");
    for (const how of [["--ws-token-file", file("long", long)], ["--ws-token-sha256", longDigest]]) {
      await withServer(["--ws-auth", "capability-token", ...how], async (server) => {
        assert.is(server.stderr(), "");
        for (let i = 0; i < MAX_FAILED_ATTEMPTS; i++) await upgrade(server, bearer("wrong"));
        assert.is((await upgrade(server, bearer("wrong"))).status, 429);
        assert.is((await upgrade(server, bearer(`${long}x`))).status, 429);
        assert.is((await upgrade(server, {})).body, "missing websocket bearer token");
        assert.is((await upgrade(server, bearer(long))).status, 101);
      });
    }
  });

  test("failed attempts are forgiven one by one, for each address", () => {
    let time = 0;
    const attempts = createAttempts(() => time);
    for (let i = 0; i < MAX_FAILED_ATTEMPTS; i++) {
      assert.is(attempts.waitMs("10.0.0.1"), 0);
      attempts.failed("10.0.0.1");
    }
    const wait = attempts.waitMs("10.0.0.1");
    assert.ok(wait > 0);
    assert.is(attempts.waitMs("10.0.0.2"), 0);
    for (let i = 0; i < 1000; i++) attempts.failed("10.0.0.1");
    assert.is(attempts.waitMs("10.0.0.1"), wait, "not longer and longer");
    time += wait;
    assert.is(attempts.waitMs("10.0.0.1"), 0);
    attempts.failed("10.0.0.1");
    assert.ok(attempts.waitMs("10.0.0.1") > 0, "one more is one too many again");
    for (let i = 0; i < MAX_FAILED_ATTEMPTS; i++) attempts.failed(`2001:db8:0:7::${i}`);
    assert.ok(attempts.waitMs("2001:db8:0:7:ffff::1") > 0, "one customer's addresses are one");
    assert.is(attempts.waitMs("2001:db8:0:8::1"), 0);
  });

  test("--ws-auth none lets everyone in, says so, and is for this machine only", async () => {
    await withServer(["--ws-auth", "none"], async (server) => {
      assert.is((await upgrade(server, { authorization: "Bearer x" })).status, 101);
      assert.match(server.stderr(), /warn .*--ws-auth none/);
      assert.not.match(server.url, /token/);
    });
    const { code, stdout, stderr } = await runServer({
      args: ["--ws-auth", "none", "--listen", "ws://0.0.0.0:0", "--insecure", "--allow-host", "x"],
    });
    assert.equal([code, stdout], [2, ""]);
    assert.match(stderr, /--ws-auth none is for loopback/);
  });
}

test.run();
