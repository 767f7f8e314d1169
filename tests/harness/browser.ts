/** A real browser (Debian's Chromium, headless) that opens one page and reports what its script found. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import process from "node:process";
import { register, send } from "./program.ts";
import { tempDir } from "./temp.ts";

const LIMIT_MS = 60_000;
/** As in the machine's notes: without these it talks to the Internet at every start, and as root it refuses. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A page in a browser. */
export interface Visit {
  /** `http://127.0.0.1:PORT`, or with the name that was asked for. */
  readonly origin: string;
  /** What the script handed to `report`. */
  readonly result: Promise<unknown>;
  close(): Promise<void>;
}

/**
 * Serves a page on a free port and opens it.
 * @param script the body of an async function; what it returns is the result
 * @param where `name`: the host name of the page's origin, which the browser finds on this machine; `rebindTo`: once
 * the page has been fetched its address leads to this port of 127.0.0.1, which is what DNS rebinding achieves
 */
export async function visit(
  script: (origin: string) => string | Promise<string>,
  where: { readonly name?: string; readonly rebindTo?: number } = {},
): Promise<Visit> {
  const { name = "127.0.0.1", rebindTo } = where;
  let settle: (value: unknown) => void = () => {};
  let fail: (error: Error) => void = () => {};
  const result = new Promise<unknown>((ok, no) => [settle, fail] = [ok, no]);
  result.catch(() => {}); // whoever waits is told
  const collector = createServer((request: IncomingMessage, response: ServerResponse) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => body += text);
    request.on("end", () => {
      response.end();
      settle(JSON.parse(body));
    });
  });
  const collectorPort = await listening(collector);
  let origin = "";
  let target = 0;
  const pages = createServer((request: IncomingMessage, response: ServerResponse) => {
    response.setHeader("connection", "close"); // the next request looks where the name leads by then
    if (request.url !== "/") return void response.writeHead(404).end();
    response.on("finish", () => target = rebindTo ?? target);
    response.setHeader("content-type", "text/html; charset=utf-8");
    const page = (code: string) =>
      response.end(`<script>
      const report = (value) =>
        fetch("http://127.0.0.1:${collectorPort}/", { method: "POST", mode: "no-cors", body: JSON.stringify(value) });
      (async () => { ${code} })().then(report, (error) => report(String(error)));
    </script>`);
    Promise.resolve(script(origin)).then(page, fail);
  });
  target = await listening(pages);
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  };
  const front = createTcpServer((client) => {
    keep(client);
    // Browsers connect ahead of need: where a connection leads is decided by its first request.
    client.once("readable", () => {
      const server = connect(target, "127.0.0.1");
      keep(server);
      client.pipe(server).pipe(client);
    });
  });
  origin = `http://${name}:${await listening(front)}`;
  const chromium: ChildProcess = spawn("chromium", [
    ...FLAGS,
    `--user-data-dir=${tempDir()}`,
    `--host-resolver-rules=MAP ${name} 127.0.0.1`,
    "--remote-debugging-port=0", // keeps it open
    `${origin}/`,
  ], { detached: true, stdio: "ignore", env: { ...process.env, HOME: tempDir(), TMPDIR: tempDir() } });
  const pid = chromium.pid ?? 0;
  if (pid > 0) register(pid, chromium);
  const ended = new Promise<void>((ok) => {
    chromium.once("error", (error) => {
      fail(error);
      ok();
    });
    chromium.once("exit", () => {
      fail(new Error("the browser has ended"));
      ok();
    });
  });
  const timer = setTimeout(() => fail(new Error("the page did not report in time")), LIMIT_MS);
  return {
    origin,
    result,
    async close() {
      clearTimeout(timer);
      send(-pid, "SIGKILL");
      await ended;
      for (const socket of sockets) socket.destroy();
      for (const server of [collector, pages, front]) server.close();
      collector.closeAllConnections();
      pages.closeAllConnections();
    },
  };
}

function listening(server: ReturnType<typeof createTcpServer>): Promise<number> {
  return new Promise((ok, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address: AddressInfo | string | null = server.address();
      if (typeof address === "object" && address !== null) ok(address.port);
    });
  });
}
