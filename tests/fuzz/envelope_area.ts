/** Messages that are nearly JSON-RPC. Only methods that look. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import * as v from "valibot";
import { isObject } from "../harness/wire_client.ts";
import type { Area } from "./area.ts";
import { Opcode } from "../harness/raw_socket.ts";
import { wholeFrame } from "./frame_bytes.ts";
import { CLOSE_CODES } from "./message_rules.ts";
import { isClosing } from "./peer.ts";

const Case = v.object({
  text: v.string(),
  binary: v.boolean(),
  stage: v.picklist(["new", "ready"]),
});
type Case = v.InferOutput<typeof Case>;

const SHORT_RUNS = 700;

const IDS = [
  "1",
  '"x"',
  '""',
  "0",
  "-0",
  "-1",
  "-5",
  "null",
  "true",
  "1.5",
  "1.0",
  "1e3",
  "1e400",
  "9007199254740993",
  "9223372036854775807",
  "9223372036854775808",
  "-9223372036854775808",
  "99999999999999999999999",
  "[]",
  "{}",
  '"\\ud83d\\ude00"',
  '"\\ud83d"',
  '"\\u0000"',
  `"${"i".repeat(3_000)}"`,
];
const METHODS = [
  '"environment/status"',
  '"environment/info"',
  '"process/list"',
  '"fs/getMetadata"',
  '"initialize"',
  '"initialized"',
  '"no/such"',
  '"__proto__"',
  '"constructor"',
  '"toString"',
  '""',
  "null",
  "5",
  "[]",
  "{}",
  '"\\ud800"',
  `"${"m".repeat(3_000)}"`,
  '"process/\\u006cist"',
];
const VALUES = [
  "null",
  "{}",
  "[]",
  "0",
  '"x"',
  "true",
  '{"path":"file:///"}',
  '["file:///"]',
  '{"clientName":"x"}',
  '{"__proto__":{"path":"file:///"}}',
  '{"path":1,"path":2}',
  '{"path":"file:///","p\\u0061th":2}',
  '{"constructor":{"prototype":{}}}',
  '{"":""}',
  "1e400",
  "-1e400",
  "1".repeat(400),
  `0.${"1".repeat(400)}`,
  `${"[".repeat(124)}${"]".repeat(124)}`,
  `${"[".repeat(126)}${"]".repeat(126)}`,
  `${"[".repeat(5_000)}${"]".repeat(5_000)}`,
  `${"[".repeat(50_000)}`,
  `${'{"a":'.repeat(200)}1${"}".repeat(200)}`,
  '"\\ud800"',
  '"\\udfff\\ud800"',
  '"\\\\ud800"',
  `[${"0,".repeat(1_000)}0]`,
  '"\\u0000"',
  '"\\x"',
  "01",
  "+1",
  ".5",
  "NaN",
  "undefined",
  "'x'",
  '"a\nb"',
  "/*c*/1",
];

const member = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...IDS).map((id) => `"id":${id}`) },
  { weight: 6, arbitrary: fc.constantFrom(...METHODS).map((method) => `"method":${method}`) },
  { weight: 5, arbitrary: fc.constantFrom(...VALUES).map((params) => `"params":${params}`) },
  {
    weight: 2,
    arbitrary: fc.tuple(
      fc.constantFrom(
        "jsonrpc",
        "trace",
        "result",
        "error",
        "__proto__",
        "i\\u0064",
        "meth\\u006fd",
        "",
        "ID",
      ),
      fc.constantFrom(...VALUES, ...IDS),
    ).map(([name, value]) => `"${name}":${value}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '"trace":{"traceparent":"x"}',
      '"trace":{"tracestate":1}',
      '"error":{"code":1,"message":"x"}',
      '"error":{"code":"x"}',
    ),
  },
);
const space = fc.constantFrom("", "", "", "", " ", "\n", "\t\r\n ", "\ufeff", "\u00a0", "\0");
const object = fc.tuple(fc.array(member, { maxLength: 5 }), space, space).map(
  ([members, inside, around]) => `${around}{${inside}${members.join(`,${inside}`)}}${around}`,
);
/** Right but for what one character makes of it. */
const damaged = fc.tuple(
  object,
  fc.nat(200),
  fc.constantFrom("", "{", "}", "[", "]", '"', "\\", ",", ":", "\0", "1", "e"),
  fc.nat(2),
).map(([text, at, put, remove]) => text.slice(0, at) + put + text.slice(at + remove));
const text = fc.oneof(
  { weight: 6, arbitrary: object },
  { weight: 3, arbitrary: damaged },
  { weight: 1, arbitrary: fc.array(object, { maxLength: 3 }).map((all) => `[${all.join(",")}]`) },
  { weight: 1, arbitrary: fc.constantFrom(...VALUES, ...IDS) },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
);

const cases: fc.Arbitrary<Case> = fc.record({
  text,
  binary: fc.boolean(),
  stage: fc.constantFrom("new", "ready"),
});

/** What one message may be. */
export const envelopeArea: Area<Case> = {
  name: "envelope",
  schema: Case,
  cases,
  shortRuns: SHORT_RUNS,
  async attempt(world, { text, binary, stage }) {
    const peer = await world.open({ bare: stage === "new" });
    const before = peer.messages.length;
    peer.write(wholeFrame(binary ? Opcode.binary : Opcode.text, Buffer.from(text)));
    const last = await peer.probe();
    const answers = peer.messages.slice(before).filter((message) => message !== last && "id" in message);
    const got = answers.map((answer) => JSON.stringify(answer["id"])).join(" and ") || "nothing";
    const expected = expectation(text);
    if (isClosing(last)) {
      if (!CLOSE_CODES.has(last.code)) throw new Error(`closed with ${last.code} ${last.reason}`);
      if (!expected.mayClose) throw new Error(`${expected.what}: closed with ${last.code} ${last.reason}`);
      return;
    }
    // An answer that takes a system call may come behind that of the probe.
    if (answers.length === 0 && expected.answer === "own") {
      await answerOf(() => peer.messages.length > before + 1);
    } else if (answers.length > 1) throw new Error(`${expected.what}: answered with ${got}`);
    else if (answers.length === 0 && expected.answer !== "none") {
      throw new Error(`${expected.what}: no answer`);
    } else if (answers.length === 1 && expected.answer === "none" && got !== "-1") {
      throw new Error(`${expected.what}: answered with ${got}`);
    }
  },
};

const LOOK_MS = 2;
const LOOKS = 5_000;

async function answerOf(isThere: () => boolean): Promise<void> {
  for (let look = 0; look < LOOKS && !isThere(); look++) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  if (!isThere()) throw new Error("a request was not answered");
}

/** What JSON.parse thinks of a text. A strict server may think worse of it: then the answer has the id -1. */
function expectation(text: string): { what: string; answer: "own" | "none" | "some"; mayClose: boolean } {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch {
    return { what: "no JSON", answer: "some", mayClose: false };
  }
  if (!isObject(value)) return { what: "no object", answer: "some", mayClose: false };
  const has = (name: string) => Object.hasOwn(Object(value), name) && value[name] !== undefined;
  if (!has("method")) return { what: "no request", answer: "some", mayClose: true };
  if (!has("id")) return { what: "a notification", answer: "none", mayClose: true };
  return { what: "a request", answer: "own", mayClose: false };
}
