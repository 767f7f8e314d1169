// `--listen wss://…`: certificates of both sides, what is said when they do not fit, and the reload by SIGHUP.
import { Buffer } from "node:buffer";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Environment, ExecServerError, type TlsOptions } from "../../mod.ts";
import { type Authority, makeAuthority, type Pair } from "../harness/certificates.ts";
import { type CliEnd, runCli } from "../harness/cli.ts";
import { frame } from "../faults/attacks.ts";
import { openTerminal } from "../harness/own_terminal.ts";
import { memoryOf, until } from "../harness/proc.ts";
import { send } from "../harness/program.ts";
import { Opcode, upgradeRequest } from "../harness/raw_socket.ts";
import { runServer, startServer, type TestServer, urlFile } from "../harness/server.ts";
import { tempDir } from "../harness/temp.ts";
import { linesOf } from "./audit_lines.ts";

const BIG = 20_000_000;
const MIB = 1024 * 1024;

let authority: Authority, stranger: Authority, own: Pair, files: Pair;
let client: Pair, strangeClient: Pair;

test.before(() => {
  authority = makeAuthority("of the test");
  stranger = makeAuthority("somebody else's");
  own = authority.issue("first");
  client = authority.issue("client", "DNS:client");
  strangeClient = stranger.issue("client", "DNS:client");
  const folder = tempDir();
  files = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
});

/** Starts a server with a certificate of its own, of `pair`, in `files`. */
async function withTls(
  args: string[],
  check: (server: TestServer) => Promise<void>,
  pair: Pair = own,
): Promise<void> {
  install(pair);
  const tls = ["--listen", "wss://127.0.0.1:0", "--tls-cert", files.cert, "--tls-key", files.key];
  const server = await startServer({ args: [...tls, ...args] });
  try {
    await check(server);
  } finally {
    await server.stop();
  }
}

function install(pair: Pair): void {
  copyFileSync(pair.cert, files.cert);
  copyFileSync(pair.key, files.key);
}

const run = (url: string, ...options: string[]): Promise<CliEnd> =>
  runCli(["run", "--url-file", urlFile(url), ...options, "--", "echo", "there"], {
    env: { EXEC_SERVER_TLS_CA: undefined },
  });

const trusting = (other: Partial<TlsOptions> = {}): { tls: TlsOptions } => ({
  tls: { ca: readFileSync(authority.cert, "utf8"), ...other },
});

const pem = ({ cert, key }: Pair) => ({ cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") });

/** The executable and the library fail alike. */
async function fails(url: string, text: RegExp, options: string[], tls: TlsOptions): Promise<void> {
  const { code, stdout, stderr } = await run(url, ...options);
  assert.equal([code, stdout], [125, ""], stderr);
  assert.match(stderr, text);
  const error: unknown = await Environment.connect(url, { tls }).then(
    (there) => there.close(),
    (e: unknown) => e,
  );
  assert.instance(error, ExecServerError);
  if (!(error instanceof ExecServerError)) return;
  assert.is(error.code, "TLS_FAILED");
  assert.match(error.message, text);
}

/** The name in the certificate that the server shows to a new connection. */
function shown(server: TestServer): Promise<string> {
  const { hostname, port } = new URL(server.url);
  return new Promise((ok, fail) => {
    const socket = connectTls(
      { host: hostname, port: Number(port), ca: readFileSync(authority.cert) },
      () => {
        ok(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      },
    );
    socket.on("error", fail);
  });
}

/** Sends SIGHUP and resolves when the server has logged this. */
function hangUp(server: TestServer, text: string): Promise<void> {
  const before = server.stderr().length;
  return new Promise((ok) => {
    server.process.stderr.on("data", function look() {
      if (!server.stderr().slice(before).includes(text)) return;
      server.process.stderr.off("data", look);
      ok();
    });
    send(server.pid, "SIGHUP");
  });
}

test("with --tls-ca or EXEC_SERVER_TLS_CA clients connect, by address and by name", () =>
  withTls([], async (server) => {
    assert.match(server.url, /^wss:\/\/127\.0\.0\.1:\d+\/\?token=/);
    for (const url of [server.url, server.url.replace("127.0.0.1", "localhost")]) {
      assert.is((await run(url, "--tls-ca", authority.cert)).stdout, "there\n");
    }
    const env = { EXEC_SERVER_TLS_CA: authority.cert, EXEC_SERVER_URL: server.url };
    assert.is((await runCli(["run", "--", "echo", "there"], { env })).stdout, "there\n");
    await using there = await Environment.connect(server.url, trusting());
    const head = await there.processes.start({ argv: ["head", "-c", String(BIG), "/dev/zero"] });
    const bytes = new Uint8Array(await new Response(head.stdout).arrayBuffer());
    assert.ok(bytes.length === BIG && bytes.every((byte) => byte === 0));
    assert.equal(await server.stop(), { code: 0, signal: null });
    assert.equal([server.stdout(), server.stderr()], [`${server.url}\n`, ""]);
  }));

test("a certificate of an authority that is not trusted is refused, with what to do", () =>
  withTls([], async (server) => {
    const other = readFileSync(stranger.cert, "utf8");
    await fails(server.url, /not of an authority that is trusted here.*--tls-ca FILE/, [], {});
    await fails(server.url, /--tls-ca FILE/, ["--tls-ca", stranger.cert], { ca: other });
  }));

test("a certificate for another name is refused, with what to do", () =>
  withTls([], async (server) => {
    await fails(
      server.url,
      /is for another name: connect by a name/,
      ["--tls-ca", authority.cert],
      trusting().tls,
    );
  }, authority.issue("elsewhere", "DNS:elsewhere.example")));

test("wss:// to a server without TLS says so", async () => {
  const server = await startServer();
  try {
    const url = server.url.replace("ws:", "wss:");
    await fails(url, /does not speak TLS: use ws:\/\//, ["--tls-ca", authority.cert], trusting().tls);
  } finally {
    await server.stop();
  }
});

test("--tls-client-ca lets in only clients with a certificate of that authority", () =>
  withTls(["--tls-client-ca", authority.cert], async (server) => {
    const options = ["--tls-ca", authority.cert, "--tls-cert", client.cert, "--tls-key", client.key];
    assert.is((await run(server.url, ...options)).stdout, "there\n");
    await using there = await Environment.connect(server.url, trusting(pem(client)));
    assert.ok(there.sessionId);
    const trusted = ["--tls-ca", authority.cert];
    await fails(
      server.url,
      /no client without a certificate.*--tls-cert FILE and --tls-key FILE/,
      trusted,
      trusting().tls,
    );
    const strange = ["--tls-cert", strangeClient.cert, "--tls-key", strangeClient.key];
    await fails(
      server.url,
      /may not accept this client certificate/,
      [...trusted, ...strange],
      trusting(pem(strangeClient)).tls,
    );
  }));

test("SIGHUP takes the new certificate for new connections, and leaves those that are open", () =>
  withTls(["--log-level", "info"], async (server) => {
    const states: string[] = [];
    await using there = await Environment.connect(server.url, {
      ...trusting(),
      onConnectionChange: (state) => states.push(state),
    });
    const cat = await there.processes.start({ argv: ["cat"], pipeStdin: true });
    assert.is(await shown(server), "first");
    for (const name of ["second", "third"]) {
      install(authority.issue(name));
      await hangUp(server, "certificate reloaded");
      assert.is(await shown(server), name);
    }
    const input = cat.stdin.getWriter();
    await input.write(new TextEncoder().encode("still there"));
    await input.close();
    assert.is(await new Response(cat.stdout).text(), "still there");
    assert.equal(states, []);
    assert.is((await run(server.url, "--tls-ca", authority.cert)).stdout, "there\n");
    assert.equal(await server.stop(), { code: 0, signal: null });
  }));

test("SIGHUP keeps the old certificate when the files are no good, and says why", () =>
  withTls(["--tls-client-ca", authority.cert], async (server) => {
    const kept = "the old one is kept";
    writeFileSync(files.cert, "half a cert");
    await hangUp(server, kept);
    copyFileSync(authority.issue("other").cert, files.cert);
    await hangUp(server, kept);
    copyFileSync(own.cert, files.cert);
    writeFileSync(files.key, "");
    await hangUp(server, kept);
    const errors = server.stderr().trim().split("\n");
    assert.equal(errors.map((line) => line.split(" ")[1]), ["error", "error", "error"]);
    assert.match(errors[0] ?? "", /--tls-cert .*: no certificate in PEM form/);
    assert.match(errors[1] ?? "", /--tls-key .* is not the key of the certificate in /);
    assert.match(errors[2] ?? "", /--tls-key .*: no private key in PEM form without a passphrase/);
    const options = ["--tls-ca", authority.cert, "--tls-cert", client.cert, "--tls-key", client.key];
    assert.is((await run(server.url, ...options)).stdout, "there\n");
    await fails(server.url, /no client without a certificate/, ["--tls-ca", authority.cert], trusting().tls);
  }));

test("SIGHUP takes the new authority of clients too", async () => {
  const trusted = join(tempDir(), "clients.pem");
  copyFileSync(stranger.cert, trusted);
  await withTls(["--tls-client-ca", trusted, "--log-level", "info"], async (server) => {
    const options = ["--tls-ca", authority.cert, "--tls-cert", client.cert, "--tls-key", client.key];
    assert.is((await run(server.url, ...options)).code, 125);
    copyFileSync(authority.cert, trusted);
    await hangUp(server, "certificate reloaded");
    assert.is((await run(server.url, ...options)).stdout, "there\n");
  });
});

test("a client certificate may be all the proof, also beyond loopback", () =>
  withTls(["--tls-client-ca", authority.cert, "--ws-auth", "none"], async (server) => {
    const files = ["--tls-ca", authority.cert, "--tls-cert", client.cert, "--tls-key", client.key];
    assert.is((await run(server.url, ...files)).stdout, "there\n");
    assert.equal([server.url.includes("token"), server.stderr()], [false, ""]);
    await fails(server.url, /no client without a certificate/, ["--tls-ca", authority.cert], trusting().tls);
  }));

test("files that cannot be used are said at the start", async () => {
  const garbage = join(tempDir(), "garbage");
  writeFileSync(garbage, "x");
  const bad: [Pair & { ca?: string }, RegExp][] = [
    [{ cert: join(tempDir(), "none"), key: own.key }, /^Error: --tls-cert .*none: No such file or directory/],
    [{ cert: own.cert, key: join(tempDir(), "none") }, /^Error: --tls-key .*none: No such file or directory/],
    [{ cert: garbage, key: own.key }, /^Error: --tls-cert .*garbage: no certificate in PEM form/],
    [{ cert: own.cert, key: garbage }, /^Error: --tls-key .*garbage: no private key in PEM form/],
    [{ cert: own.cert, key: client.key }, /^Error: --tls-key .* is not the key of the certificate in /],
    [{ ...own, ca: garbage }, /^Error: --tls-client-ca .*garbage: no certificate in PEM form/],
  ];
  for (const [{ cert, key, ca }, text] of bad) {
    const { code, stdout, stderr } = await runServer({
      args: ["--listen", "wss://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key]
        .concat(ca === undefined ? [] : ["--tls-client-ca", ca]),
    });
    assert.equal([code, stdout], [1, ""]);
    assert.match(stderr, text);
  }
});

test("options of clients that do not fit are usage errors", async () => {
  const wrong: [string, string[], RegExp][] = [
    ["ws://127.0.0.1:1", ["--tls-ca", authority.cert], /need a wss:\/\/… URL/],
    ["wss://127.0.0.1:1", ["--tls-cert", client.cert], /--tls-cert and --tls-key need each other/],
    ["wss://127.0.0.1:1", ["--tls-ca", "/nonexistent"], /--tls-ca \/nonexistent: No such file or directory/],
    ["http://127.0.0.1:1", [], /must begin with ws:\/\/, wss:\/\/ or unix:/],
  ];
  for (const [url, options, text] of wrong) {
    const { code, stderr } = await run(url, ...options);
    assert.is(code, 2, stderr);
    assert.match(stderr, text);
  }
  const local = await runCli(["run", "--url", "local", "--tls-ca", authority.cert, "--", "true"]);
  assert.equal([local.code, local.stderr.split("\n")[0]], [
    2,
    "error: --tls-ca, --tls-cert and --tls-key need a wss://… URL",
  ]);
});

test("a shell that is left running is found again: its command line names the authority", () =>
  withTls([], async (server) => {
    const trusted = ["--url-file", urlFile(server.url), "--tls-ca", authority.cert];
    const terminal = await openTerminal(["shell", ...trusted, "--", "cat"]);
    try {
      await terminal.type("here\r");
      await terminal.shows("here");
      await terminal.type("~d");
      const { code, rest } = await terminal.ended;
      assert.is(code, 0);
      const [, session = "", process = ""] = /--session (\S+) --process (\S+)/.exec(rest) ?? [];
      assert.match(rest.replace(/\s/g, ""), `exec-serverattach${trusted.join("")}--session`);
      const which = ["--session", session, "--process", process];
      assert.is((await runCli(["kill", ...trusted, ...which])).code, 0);
    } finally {
      await terminal.close();
    }
  }));

test("Origin and Host are looked at behind TLS too", () =>
  withTls([], async (server) => {
    const { hostname, port } = new URL(server.url);
    const status = (...headers: string[]) =>
      new Promise<string>((ok, fail) => {
        let text = "";
        const socket = connectTls({ host: hostname, port: Number(port), ca: readFileSync(authority.cert) });
        socket.on("data", (data) => text += data.toString()).on("error", fail);
        socket.on("close", () => ok(text.slice(9, 12)));
        socket.write(["GET /readyz HTTP/1.1", ...headers, "", ""].join("\r\n"));
      });
    assert.is(await status("Host: localhost"), "200");
    assert.is(await status("Host: evil.example"), "403");
    assert.is(await status(), "403");
    assert.is(await status("Host: localhost", "Origin: https://localhost"), "403");
  }));

test("a peer that speaks no TLS, or hangs up in the middle, is no harm", () =>
  withTls([], async (server) => {
    const plain = await Environment.connect(server.url.replace("wss:", "ws:")).then(() => "connected", () =>
      "refused");
    assert.is(plain, "refused");
    for (let i = 0; i < 20; i++) {
      await new Promise<void>((ok) => {
        const raw = connect(Number(new URL(server.url).port), "127.0.0.1");
        const socket = connectTls({ socket: raw, host: "127.0.0.1", ca: readFileSync(authority.cert) });
        raw.on("close", () =>
          ok());
        socket.on("error", () => {});
        if (i % 2) socket.once("secureConnect", () => raw.resetAndDestroy());
        else raw.once("connect", () => raw.resetAndDestroy());
      });
    }
    assert.is((await run(server.url, "--tls-ca", authority.cert)).stdout, "there\n");
  }));

test("the audit log has the handshakes that were refused", async () => {
  const log = join(tempDir(), "audit.log");
  await withTls(["--tls-client-ca", authority.cert, "--audit-log", log], async (server) => {
    const { hostname, port } = new URL(server.url);
    const ended = (socket: Socket) =>
      new Promise((ok) => socket.on("error", () => {}).resume().once("close", ok));
    const plain = connect(Number(port), hostname);
    plain.write("GET / HTTP/1.1\r\n\r\n");
    await ended(plain);
    const options = { host: hostname, port: Number(port), ca: readFileSync(authority.cert) };
    await ended(connectTls(options));
    await ended(connectTls({ ...options, ...pem(strangeClient) }));
    await using there = await Environment.connect(server.url, trusting(pem(client)));
    assert.ok(there.sessionId);
  });
  const lines = linesOf(log, "socket.refused");
  assert.is(lines.length, 3);
  for (const line of lines) {
    assert.match(String(line["reason"]), /^TLS handshake failed \(\w+\)$/);
    assert.match(String(line["peer"]), /^127\.0\.0\.1:\d+$/);
  }
});

test("a large message that is never complete is cut off before initialize, without an option", () =>
  withTls([], async (server) => {
    const { hostname, port } = new URL(server.url);
    const socket = connectTls({ host: hostname, port: Number(port), ca: readFileSync(authority.cert) });
    const closed = new Promise((ok) => socket.once("close", ok));
    let received = Buffer.alloc(0);
    socket.on("error", () => {}); // `close` follows
    socket.on("data", (bytes: Buffer) => received = Buffer.concat([received, bytes]));
    socket.write(upgradeRequest(server.url));
    await until("the upgrade", () => received.includes("\r\n\r\n"));
    const before = memoryOf(server.pid, "VmHWM");
    socket.write(frame(Opcode.text, new Uint8Array(60 * MIB)).subarray(0, 50 * MIB));
    await closed;
    assert.ok(received.includes("a message before initialize has 1048576 bytes at most"));
    const growth = memoryOf(server.pid, "VmHWM") - before;
    assert.ok(growth < 40, `${Math.round(growth)} MiB more`);
  }));

test.run();
