/** The HTTP request before there is a WebSocket. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import * as v from "valibot";
import type { Area } from "./area.ts";
import { openSocket, resetSocket, soon } from "./peer.ts";

const Case = v.object({
  method: v.string(),
  target: v.string(),
  version: v.string(),
  headers: v.array(v.tuple([v.string(), v.string()])),
  lineEnd: v.picklist(["\r\n", "\n", "\r"]),
  body: v.string(),
  /** Bytes of one piece; the rest follows in another. */
  pieces: v.number(),
  /** Only so many bytes are sent. */
  cut: v.nullable(v.number()),
  end: v.picklist(["fin", "reset", "wait"]),
});
type Case = v.InferOutput<typeof Case>;

const SHORT_RUNS = 400;
/** 100 to 499 is what a client did; of the rest only what HTTP has for unknown methods and versions. */
const STATUSES = /^HTTP\/1\.[01] (?:1\d\d|2\d\d|4\d\d|501|505) /;

/** Stands for the token of the server. */
const TOKEN = "{TOKEN}";
const GOOD: [string, string][] = [
  ["Host", "localhost"],
  ["Authorization", `Bearer ${TOKEN}`],
  ["Connection", "Upgrade"],
  ["Upgrade", "websocket"],
  ["Sec-WebSocket-Version", "13"],
  ["Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="],
];

const header = fc.tuple(
  fc.constantFrom(
    "Host",
    "Origin",
    "origin",
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "Content-Length",
    "Transfer-Encoding",
    "Expect",
    "Authorization",
    "Cookie",
    "X",
    "",
    " ",
    "X Y",
    "__proto__",
    "X\0",
    "Ü",
  ),
  fc.oneof(
    fc.constantFrom(
      "",
      "x",
      "Upgrade",
      "keep-alive, Upgrade",
      "close",
      "websocket",
      "WEBSOCKET, h2c",
      "13",
      "8",
      "13, 13",
      "dGhlIHNhbXBsZSBub25jZQ==",
      "null",
      "http://localhost",
      "permessage-deflate; client_max_window_bits=99",
      "chunked",
      "gzip, chunked",
      "0",
      "-1",
      "5",
      "99999999999999999999",
      "100-continue",
      "Bearer x",
      `Bearer ${TOKEN}`,
      "localhost",
      "127.0.0.1:1",
      "a\0b",
      "ü",
      "\r\n folded",
      "x".repeat(20_000),
      `a, ${"b, ".repeat(500)}`,
    ),
    fc.string({ maxLength: 20 }),
  ),
);

const cases: fc.Arbitrary<Case> = fc.record({
  method: fc.oneof(
    { weight: 5, arbitrary: fc.constant("GET") },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        "HEAD",
        "POST",
        "PUT",
        "OPTIONS",
        "CONNECT",
        "TRACE",
        "get",
        "FOO",
        "",
        "PRI",
        "Ü",
      ),
    },
  ),
  target: fc.oneof(
    { weight: 5, arbitrary: fc.constant("/") },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        "/readyz",
        "/readyz?x=1",
        "/?a=b",
        `/?token=${TOKEN}`,
        "/?token=x",
        "//",
        "/%00",
        "/%",
        "*",
        "",
        "x",
        "http://x/",
        "http://[/",
        "x:1",
        "/\0",
        "/ü",
        `/${"x".repeat(20_000)}`,
        "/../..",
        "/#x",
        "/a b",
      ),
    },
  ),
  version: fc.oneof(
    { weight: 8, arbitrary: fc.constant("HTTP/1.1") },
    { weight: 1, arbitrary: fc.constantFrom("HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "", "HTTP", "http/1.1") },
  ),
  headers: fc.tuple(
    fc.subarray(GOOD, { minLength: 4 }),
    fc.array(header, { maxLength: 3 }),
    fc.boolean(),
  ).map(([good, odd, first]) => first ? [...odd, ...good] : [...good, ...odd]),
  lineEnd: fc.oneof(
    { weight: 12, arbitrary: fc.constant<"\r\n">("\r\n") },
    { weight: 1, arbitrary: fc.constantFrom<Case["lineEnd"]>("\n", "\r") },
  ),
  body: fc.constantFrom(
    "",
    "",
    "",
    "x",
    "5\r\nhello\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "\0".repeat(100),
  ),
  pieces: fc.oneof(fc.constant(1_000_000), fc.integer({ min: 1, max: 300 })),
  cut: fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, { weight: 2, arbitrary: fc.nat(300) }),
  end: fc.constantFrom<Case["end"]>("wait", "wait", "fin", "reset"),
});

/** What is sent before the upgrade. */
export const httpArea: Area<Case> = {
  name: "http",
  schema: Case,
  cases,
  shortRuns: SHORT_RUNS,
  async attempt(world, one) {
    const socket = await openSocket(world.url);
    let received = "";
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    const answered = new Promise<void>((resolve) => {
      socket.setEncoding("latin1").on("data", (text: string) => {
        received += text;
        if (received.includes("\r\n\r\n")) resolve();
      });
    });
    try {
      const whole = bytesOf(one, new URL(world.url).searchParams.get("token") ?? "");
      const bytes = one.cut === null ? whole : whole.subarray(0, one.cut);
      socket.write(bytes.subarray(0, one.pieces));
      if (bytes.length > one.pieces) socket.write(bytes.subarray(one.pieces));
      if (one.end === "fin") socket.end();
      if (one.end === "reset") return resetSocket(socket);
      if (one.end === "fin") await soon("an answer or the end", Promise.race([answered, closed]));
      // What is not complete may be waited for: only the usual end of a head says that it is.
      else if (isComplete(one)) await soon("an answer", Promise.race([answered, closed]));
      check(one, received);
    } finally {
      socket.destroy();
    }
  },
};

function bytesOf({ method, target, version, headers, lineEnd, body }: Case, token: string): Buffer {
  const lines = [`${method} ${target} ${version}`, ...headers.map(([name, value]) => `${name}: ${value}`)];
  return Buffer.from(`${lines.join(lineEnd)}${lineEnd}${lineEnd}${body}`.replaceAll(TOKEN, token));
}

function isComplete({ cut, lineEnd, headers, body, method, version }: Case): boolean {
  const hasBody = headers.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  const isPlain = /^[A-Z]+$/.test(method) && /^HTTP\/1\.[01]$/.test(version);
  return cut === null && lineEnd === "\r\n" && !hasBody && body === "" && isPlain;
}

function check({ headers }: Case, received: string): void {
  if (received === "") return;
  const shown = received.slice(0, 500);
  if (!STATUSES.test(received)) throw new Error(`an answer that is none: ${shown}`);
  if (/\n\s+at |\$bunfs|node:internal/.test(received)) throw new Error(`a stack trace: ${shown}`);
  const isUpgraded = received.startsWith("HTTP/1.1 101 ");
  if (isUpgraded && headers.some(([name]) => name.toLowerCase() === "origin")) {
    throw new Error(`an upgrade with an Origin: ${shown}`);
  }
}
