/** Every method with every kind of params. */
import fc from "fast-check";
import * as v from "valibot";
import { isObject, type JsonObject } from "../harness/wire_client.ts";
import type { Area } from "./area.ts";
import { isHarmless } from "./harmless.ts";
import { hostileValue, SCRATCH_URIS } from "./hostile.ts";
import { CLOSE_CODES } from "./message_rules.ts";
import { type Declared, METHODS } from "./methods.ts";
import { isClosing, type Peer, soon } from "./peer.ts";
import { type Hints, nearly, valuesOf } from "./schema_values.ts";
import type { World } from "./world.ts";

const Case = v.object({
  method: v.string(),
  params: v.unknown(),
  /** How far the handshake has come. */
  stage: v.picklist(["new", "opened", "ready"]),
  /** `cut`: the client is gone before the answer. */
  then: v.picklist(["wait", "cut"]),
});
type Case = v.InferOutput<typeof Case>;

const SHORT_RUNS = 40;

/** One area for each method. @throws Error for a method that {@link METHODS} does not know */
export function paramsAreas(declared: readonly Declared[]): Area<Case>[] {
  return declared.map((one) => {
    const known = METHODS[one.name];
    if (known === undefined) {
      throw new Error(`${one.name} is served and has no entry in tests/fuzz/methods.ts`);
    }
    const values = valuesOf(one.params, known.hints);
    const params = fc.oneof(
      { weight: 4, arbitrary: values },
      { weight: 5, arbitrary: nearly(values) },
      { weight: 1, arbitrary: hostileValue },
    ).filter((value) => isHarmless(one.name, value));
    const early = one.name === "initialize" ? "new" : "ready";
    const cases: fc.Arbitrary<Case> = fc.record({
      method: fc.constant(one.name),
      params,
      stage: fc.oneof(
        { weight: 12, arbitrary: fc.constant<Case["stage"]>(early) },
        { weight: 1, arbitrary: fc.constantFrom<Case["stage"]>("new", "opened", "ready") },
      ),
      then: fc.oneof({ weight: 8, arbitrary: fc.constant<Case["then"]>("wait") }, {
        weight: 1,
        arbitrary: fc.constant<Case["then"]>("cut"),
      }),
    });
    return {
      name: `params of ${one.name}`,
      schema: Case,
      cases,
      always: known.hints["file: URI"] ? everyPath(one, known.hints) : [],
      shortRuns: SHORT_RUNS,
      attempt: (world, each) => attempt(world, one, known.mayWait === true, each),
    };
  });
}

/** Right params with each of the paths. */
function everyPath({ name, params }: Declared, hints: Hints): Case[] {
  return SCRATCH_URIS.map((uri): Case => {
    const plain = { ...hints, "file: URI": fc.constant(uri), sandbox: fc.constant(null) };
    const [made] = fc.sample(valuesOf(params, plain), { numRuns: 1, seed: 1 });
    return { method: name, params: made, stage: "ready", then: "wait" };
  }).filter((one) => isHarmless(name, one.params));
}

async function attempt(world: World, declared: Declared, mayWait: boolean, one: Case): Promise<void> {
  // What was placed holds real paths; the check is about what stood there before.
  const unplaced: unknown = JSON.parse(
    JSON.stringify(one.params ?? null).replaceAll(world.places.work, "{W}"),
  );
  if (!isHarmless(one.method, unplaced)) throw new Error("this case could do harm: it is not sent");
  if (one.method.startsWith("fs/")) world.places.reset();
  const peer = await world.open({ bare: true });
  const params = await prepare(world, peer, one);
  if (declared.result === undefined) return await notify(peer, one.method, params);
  const answered = peer.request(one.method, params);
  if (one.then === "cut") {
    peer.end("reset");
    return;
  }
  const probed = peer.probe();
  const got = mayWait ? await Promise.race([answered, probed]) : await soon("the answer", answered);
  const last = await probed;
  if (isClosing(last)) {
    if (!CLOSE_CODES.has(last.code)) throw new Error(`closed with ${last.code} ${last.reason}`);
    // A session that is resumed by its own connection's twin is taken over: nothing else ends a connection here.
    if (last.code !== 4001) throw new Error(`a request was answered by ${last.code} ${last.reason}`);
    return;
  }
  if (!isClosing(got) && "result" in got && !mayWait) {
    const parsed = v.safeParse(declared.result, got["result"]);
    if (!parsed.success) {
      throw new Error(
        `the result is not what is declared: ${parsed.issues[0].message}: ${JSON.stringify(got)}`,
      );
    }
  }
}

async function notify(peer: Peer, method: string, params: unknown): Promise<void> {
  peer.send(JSON.stringify({ method, params }));
  const got = await peer.probe();
  if (isClosing(got) && got.code !== 1008) throw new Error(`closed with ${got.code} ${got.reason}`);
}

/** Brings the connection to its stage and starts the processes that the params name. */
async function prepare(world: World, peer: Peer, { params, stage }: Case): Promise<unknown> {
  const text = JSON.stringify(params ?? null);
  let session = "none", other = "none";
  if (text.includes("{OTHER}")) {
    const owner = await world.open({ bare: true });
    other = await handshake(owner);
    await startKnown(owner, text);
  }
  if (stage !== "new") session = await handshake(peer, stage === "ready");
  if (stage === "ready") {
    await startKnown(peer, text.includes("{OTHER}") ? "" : text);
    await openKnown(world, peer, text);
  }
  const placed: unknown = JSON.parse(text.replaceAll("{SESSION}", session).replaceAll("{OTHER}", other));
  return placed;
}

async function handshake(peer: Peer, complete = true): Promise<string> {
  const answer = await answerTo(peer, "initialize", { clientName: "fuzz" });
  if (complete) peer.send('{"method":"initialized"}');
  return isObject(answer["result"]) ? String(answer["result"]["sessionId"]) : "none";
}

async function openKnown(world: World, peer: Peer, text: string): Promise<void> {
  for (
    const [handleId, name, mode] of [["reader", "file", "read"], ["writer", "written", "replace"]] as const
  ) {
    if (!text.includes(`"${handleId}"`)) continue;
    await answerTo(peer, "fs/open", { handleId, path: world.place(`file://{W}/${name}`), mode });
  }
}

async function startKnown(peer: Peer, text: string): Promise<void> {
  const start = { cwd: "file:///", env: { PATH: "/usr/bin:/bin" }, tty: false };
  if (text.includes('"cat"')) {
    await answerTo(peer, "process/start", { ...start, processId: "cat", argv: ["cat"], pipeStdin: true });
  }
  if (text.includes('"tty"')) {
    await answerTo(peer, "process/start", { ...start, processId: "tty", argv: ["cat"], tty: true });
  }
  if (text.includes('"done"')) {
    await answerTo(peer, "process/start", { ...start, processId: "done", argv: ["true"] });
    await answerTo(peer, "process/read", { processId: "done", afterSeq: 1, waitMs: 5_000 });
  }
}

async function answerTo(peer: Peer, method: string, params: unknown): Promise<JsonObject> {
  const answer = await soon(`the answer to ${method}`, peer.request(method, params));
  if (isClosing(answer)) throw new Error(`${method}: closed with ${answer.code} ${answer.reason}`);
  if (!("result" in answer)) throw new Error(`${method}: ${JSON.stringify(answer)}`);
  return answer;
}
