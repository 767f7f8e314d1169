/** Binary messages of a connection that has agreed on them. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import * as v from "valibot";
import { FrameKind } from "../../src/rpc/frame.ts";
import { isObject } from "../harness/wire_client.ts";
import type { Area } from "./area.ts";
import { Opcode } from "../harness/raw_socket.ts";
import { wholeFrame } from "./frame_bytes.ts";
import { CLOSE_CODES } from "./message_rules.ts";
import { isClosing } from "./peer.ts";

const Case = v.object({
  kind: v.number(),
  flags: v.number(),
  /** What the header says of the name; null: the truth. */
  nameBytes: v.nullable(v.number()),
  id: v.number(),
  /** Hexadecimal, 8 bytes. */
  number: v.string(),
  /** Hexadecimal. */
  name: v.string(),
  payload: v.string(),
  /** Only so many bytes are sent. */
  cut: v.nullable(v.number()),
});
type Case = v.InferOutput<typeof Case>;

const SHORT_RUNS = 200;
const HEADER_BYTES = 16;

const hex = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString("hex"));

const cases: fc.Arbitrary<Case> = fc.record({
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...Object.values(FrameKind)) },
    fc.integer({ min: 1, max: 8 }),
  ),
  flags: fc.integer({ min: 0, max: 255 }),
  nameBytes: fc.oneof(
    { weight: 4, arbitrary: fc.constant(null) },
    fc.constantFrom(0, 1, 65_535),
    fc.nat(300),
  ),
  id: fc.oneof(fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1), fc.nat(2 ** 32 - 1)),
  number: fc.oneof(
    fc.constantFrom("0000000000000000", "ffffffffffffffff", "7fffffffffffffff", "8000000000000000"),
    fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString("hex")),
  ),
  name: fc.oneof(
    fc.constantFrom("cat", "", "nobody", "__proto__", "\0", "ü").map((name) =>
      Buffer.from(name).toString("hex")
    ),
    fc.constant("ff"),
    fc.constant("00".repeat(65_535)),
    hex(40),
  ),
  payload: fc.oneof(fc.constant(""), hex(100), fc.constant("61".repeat(200_000))),
  cut: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.nat(40)),
});

/** Each is answered once, under its id or as what cannot be read, and the connection goes on. */
export const binaryArea: Area<Case> = {
  name: "binary",
  schema: Case,
  cases,
  shortRuns: SHORT_RUNS,
  async attempt(world, one) {
    const peer = await world.open({ initialize: { binaryFrames: 1 } });
    await peer.request("process/start", {
      processId: "cat",
      argv: ["cat"],
      cwd: world.place("file://{W}"),
      env: { PATH: "/usr/bin:/bin" },
      tty: false,
      pipeStdin: true,
    });
    const before = peer.messages.length;
    const bytes = bytesOf(one);
    peer.write(wholeFrame(Opcode.binary, bytes));
    const last = await peer.request("process/terminate", { processId: "cat", graceMs: 0 });
    await peer.probe();
    if (isClosing(last)) {
      throw new Error(`${CLOSE_CODES.has(last.code) ? "closed" : "ended"} with ${last.code} ${last.reason}`);
    }
    const answers = peer.messages.slice(before).filter((message) =>
      message["id"] === one.id || message["id"] === -1
    );
    if (answers.length !== 1) throw new Error(`answered ${answers.length} times: ${JSON.stringify(answers)}`);
    const [answer] = answers;
    const status = isObject(answer?.["result"]) ? answer["result"]["status"] : undefined;
    if (answer?.["id"] === -1) return;
    const isRight = bytes.length >= HEADER_BYTES &&
      (one.kind === FrameKind.write && typeof status === "string" ||
        one.kind === FrameKind.writeBlock && (isObject(answer?.["error"]) || isObject(answer?.["result"])));
    if (!isRight) throw new Error(`an odd answer: ${JSON.stringify(answer).slice(0, 500)}`);
  },
};

function bytesOf({ kind, flags, nameBytes, id, number, name, payload, cut }: Case): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const encoded = Buffer.from(name, "hex");
  header.writeUInt8(kind, 0);
  header.writeUInt8(flags, 1);
  header.writeUInt16BE(nameBytes ?? encoded.length, 2);
  header.writeUInt32BE(id, 4);
  header.write(number, 8, "hex");
  const whole = Buffer.concat([header, encoded, Buffer.from(payload, "hex")]);
  return whole.subarray(0, Math.max(cut ?? whole.length, 1));
}
