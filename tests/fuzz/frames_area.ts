/** WebSocket frames: right ones, wrong ones, and streams that end at any byte. */
import { Buffer, isUtf8 } from "node:buffer";
import fc from "fast-check";
import * as v from "valibot";
import { MAX_EARLY_MESSAGE_BYTES, MAX_MESSAGE_BYTES } from "../../src/protocol/limits.ts";
import type { Area } from "./area.ts";
import { frameBytes, payloadOf, type WrittenFrame } from "./frame_bytes.ts";
import { CLOSE_CODES } from "./message_rules.ts";
import { isClosing, soon } from "./peer.ts";

const Case = v.object({
  frames: v.array(v.object({
    fin: v.boolean(),
    reserved: v.number(),
    opcode: v.number(),
    mask: v.nullable(v.string()),
    payload: v.string(),
    times: v.number(),
    claimed: v.nullable(v.string()),
    form: v.nullable(v.picklist(["short", "medium", "long"])),
  })),
  /** Bytes of each piece. */
  pieces: v.number(),
  /** Only so many bytes are sent, then the connection ends. */
  cut: v.nullable(v.number()),
  end: v.picklist(["fin", "reset", "drop"]),
});
type Case = v.InferOutput<typeof Case>;

const SHORT_RUNS = 500;
const hex = (bytes: string | Uint8Array) => Buffer.from(bytes).toString("hex");

const request = '{"id":"f","method":"environment/status"}';
const payload = fc.oneof(
  { weight: 4, arbitrary: fc.constant(hex(request)) },
  { weight: 2, arbitrary: fc.constantFrom(hex(""), hex(" "), hex("ü🙂"), hex("[]"), hex("x".repeat(130))) },
  { weight: 1, arbitrary: fc.constantFrom("ff", "c3", "eda080", "f4908080", "c080", "efbbbf", "00") },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map(hex) },
);
const control = fc.oneof(
  fc.constantFrom(
    hex(""),
    hex("ping"),
    "03e8",
    "03",
    "03ed",
    "03ee",
    "03e7",
    "0fa0",
    "1388",
    "ffff",
    "03e8ff",
  ),
  fc.uint8Array({ maxLength: 130 }).map(hex),
);

const right = { reserved: 0, times: 1, mask: "a1b2c3d4", claimed: null, form: null };
/** A message in one to four frames, with control frames between them. */
const message: fc.Arbitrary<WrittenFrame[]> = fc.record({
  text: payload,
  opcode: fc.constantFrom(1, 1, 2),
  cuts: fc.array(fc.nat(200), { maxLength: 3 }),
  between: fc.array(fc.tuple(fc.constantFrom(9, 10), fc.constantFrom("", hex("x"))), { maxLength: 2 }),
}).map(({ text, opcode, cuts, between }) => {
  const ends = [...cuts.map((at) => Math.min(2 * at, text.length)), text.length].sort((a, b) => a - b);
  const pieces = ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end));
  return pieces.flatMap((piece, index): WrittenFrame[] => {
    const isLast = index === pieces.length - 1;
    const data = { ...right, fin: isLast, opcode: index === 0 ? opcode : 0, payload: piece };
    const ping = between[index];
    return ping && !isLast ? [data, { ...right, fin: true, opcode: ping[0], payload: ping[1] }] : [data];
  });
});
const odd: fc.Arbitrary<WrittenFrame> = fc.record({
  fin: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  reserved: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(7) }),
  opcode: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 1, 2) }, { weight: 1, arbitrary: fc.nat(15) }),
  mask: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom("00000000", "ffffffff", "01020304") },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  payload,
  times: fc.oneof(
    { weight: 6, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constantFrom(125, 126, 65_535, 65_536) },
  ),
  claimed: fc.oneof(
    { weight: 8, arbitrary: fc.constant(null) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "0",
        "1",
        "125",
        "126",
        "65536",
        String(MAX_MESSAGE_BYTES + 1),
        "4294967296",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551615",
      ),
    },
  ),
  form: fc.oneof(
    { weight: 8, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.constantFrom<WrittenFrame["form"]>("short", "medium", "long") },
  ),
});
const oddControl: fc.Arbitrary<WrittenFrame> = fc.record({
  opcode: fc.constantFrom(8, 8, 9, 10),
  payload: control,
  fin: fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
}).map((frame) => ({ ...right, ...frame }));

const cases: fc.Arbitrary<Case> = fc.record({
  frames: fc.array(
    fc.oneof(
      { weight: 5, arbitrary: message },
      { weight: 2, arbitrary: odd.map((frame) => [frame]) },
      { weight: 1, arbitrary: oddControl.map((frame) => [frame]) },
    ),
    { minLength: 1, maxLength: 4 },
  ).map((groups) => groups.flat()),
  pieces: fc.oneof(fc.constant(1_000_000), fc.integer({ min: 1, max: 100 })),
  cut: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat(400) }),
  end: fc.constantFrom("fin", "reset", "drop"),
});

/** Most pieces that are written each for itself; the rest goes in one. */
const MAX_PIECES = 20;

/** What is sent after the upgrade. */
export const framesArea: Area<Case> = {
  name: "frames",
  schema: Case,
  cases,
  shortRuns: SHORT_RUNS,
  async attempt(world, { frames, pieces, cut, end }) {
    const whole = Buffer.concat(frames.map(frameBytes));
    const bytes = cut === null ? whole : whole.subarray(0, cut);
    const peer = await world.open({ bare: true });
    let at = 0;
    for (let count = 0; count < MAX_PIECES && at < bytes.length; count++, at += pieces) {
      peer.write(bytes.subarray(at, at + pieces));
      await new Promise((resolve) => setImmediate(resolve));
    }
    peer.write(bytes.subarray(at));
    if (cut !== null) {
      peer.end(end);
      if (end === "fin") await soon("the end", peer.closed);
      return;
    }
    const expected = verdict(frames);
    // An incomplete frame or message is waited for, as long as the client likes.
    if (expected === "unfinished") return;
    const got = await peer.probe();
    if (isClosing(got)) {
      if (expected === "fine") {
        throw new Error(`right frames ended the connection: ${got.code} ${got.reason}`);
      }
      if (!CLOSE_CODES.has(got.code) && !isEcho(frames, got.code)) {
        throw new Error(`closed with ${got.code} ${got.reason}`);
      }
    } else if (expected === "broken") throw new Error("frames that break the protocol were taken");
  },
};

/** A close frame of the client comes back as it was. */
function isEcho(frames: readonly WrittenFrame[], code: number): boolean {
  const bytes = code.toString(16).padStart(4, "0");
  return frames.some(({ opcode, payload }) => opcode === 8 && payload.startsWith(bytes));
}

/** What RFC 6455, and the limit before `initialize`, say of frames: the connection goes on, it ends, or something is missing at the end. */
function verdict(frames: readonly WrittenFrame[]): "fine" | "broken" | "unfinished" {
  let open: { text: boolean; bytes: Buffer } | undefined;
  for (const frame of frames) {
    const { fin, reserved, opcode, mask, claimed, form } = frame;
    const bytes = payloadOf(frame);
    // Bytes and header disagree: what follows is no frame any more.
    if (claimed !== null && claimed !== String(bytes.length)) return "unfinished";
    if (form !== null && form !== shortest(bytes.length)) return "unfinished";
    if (reserved !== 0 || mask === null) return "broken";
    if (opcode > 10 || (opcode > 2 && opcode < 8)) return "broken";
    if (opcode >= 8) {
      if (!fin || bytes.length > 125 || opcode === 8) return "broken";
      continue;
    }
    if ((opcode === 0) === (open === undefined)) return "broken";
    open = {
      text: open?.text ?? opcode === 1,
      bytes: Buffer.concat([open?.bytes ?? Buffer.alloc(0), bytes]),
    };
    if (!fin) continue;
    if (open.text && !isUtf8(open.bytes)) return "broken";
    if (open.bytes.length > MAX_EARLY_MESSAGE_BYTES) return "broken"; // nobody has sent initialize
    open = undefined;
  }
  return open === undefined ? "fine" : "unfinished";
}

function shortest(length: number): WrittenFrame["form"] {
  return length < 126 ? "short" : length < 65_536 ? "medium" : "long";
}
