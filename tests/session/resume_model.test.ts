/** The resume handshake against a simple model: whatever connections do, one owns the session and nobody misses a byte. */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createFamily } from "../../src/process/family.ts";
import type { LocalProcess } from "../../src/process/local_process.ts";
import { createOutputLog } from "../../src/process/output_log.ts";
import { defaultRetention } from "../../src/process/retention.ts";
import { createSessionRegistry } from "../../src/session/registry.ts";
import type { Attachment, Session } from "../../src/session/session.ts";
import { codeOf } from "../harness/code_of.ts";

const test = suite("resume model");
const CLIENTS = 3;
const PROCESS = "p";

/** What connections and the process may do. */
type Step =
  | { do: "print"; bytes: number }
  | { do: "resume"; client: number; takeOver: boolean }
  | { do: "disconnect" }
  | { do: "acknowledge" };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant("print" as const), bytes: fc.integer({ min: 1, max: 9 }) }),
    fc.record({
      do: fc.constant("resume" as const),
      client: fc.integer({ min: 0, max: CLIENTS - 1 }),
      takeOver: fc.boolean(),
    }),
    fc.record({ do: fc.constant("disconnect" as const) }),
    fc.record({ do: fc.constant("acknowledge" as const) }),
  ),
  { maxLength: 60 },
);

/** A client that remembers what it got over all its connections. */
interface Client {
  text: string;
  lastSeq: number;
  evicted: number;
}

function silentProcess(): LocalProcess {
  const nothing = () => Promise.resolve("stdinClosed" as const);
  return {
    id: PROCESS,
    log: createOutputLog(defaultRetention()),
    firstSeq: 1,
    takesInput: false,
    argv: ["x"],
    cwd: "/",
    tty: false,
    sandboxed: false,
    family: createFamily(),
    pid: undefined,
    startedAtMs: 0,
    starting: false,
    ended: Promise.resolve(),
    write: nothing,
    closeStdin: nothing,
    signal: () => Promise.resolve(),
    resize: () => Promise.resolve(),
    terminate: () => Promise.resolve({ wasRunning: false, survivors: [] }),
    abandon: () => {},
  };
}

function connection(client: Client): Attachment {
  return {
    acknowledges: true,
    push(_process, event) {
      assert.is(event.seq, client.lastSeq + 1, "an event came twice, or one is missing");
      client.lastSeq = event.seq;
      if (event.type === "output") client.text += Buffer.from(event.bytes).toString();
      return 100;
    },
    together: (action) => action(),
    lost: () => assert.unreachable("nothing may be lost"),
    ping: () => {},
    congested: false,
    onDrain: () => {},
    evict: () => void client.evicted++,
  };
}

async function play(plan: Step[]): Promise<void> {
  const registry = createSessionRegistry({
    sessionTtlMs: 60_000,
    maxSessionTtlMs: 60_000,
    takeOver: true,
    retention: defaultRetention(),
  });
  const clients: Client[] = Array.from({ length: CLIENTS }, () => ({ text: "", lastSeq: 0, evicted: 0 }));
  const [first] = clients;
  if (!first) throw new Error("there are clients");
  let owner: { client: Client; attachment: Attachment } | undefined = {
    client: first,
    attachment: connection(first),
  };
  const session: Session = registry.open(owner.attachment, undefined);
  const process = silentProcess();
  session.watch(process);
  let printed = "";
  try {
    for (const step of plan) {
      switch (step.do) {
        case "print": {
          const text = String(printed.length % 10).repeat(step.bytes);
          process.log.append("stdout", Buffer.from(text));
          printed += text;
          break;
        }
        case "acknowledge":
          if (owner) session.acknowledge(PROCESS, owner.client.lastSeq);
          break;
        case "disconnect":
          if (owner) registry.detach(session, owner.attachment);
          owner = undefined;
          break;
        case "resume": {
          const client = clients[step.client];
          if (!client) throw new Error("there is no such client");
          const attachment = connection(client);
          const before = owner?.client.evicted ?? 0;
          const options = { cursors: new Map([[PROCESS, client.lastSeq]]), takeOver: step.takeOver };
          const resume = async () => void await registry.resume(session.id, attachment, options);
          if (owner && !step.takeOver) {
            assert.is(await codeOf(resume()), "SESSION_ATTACHED");
            break;
          }
          await resume();
          if (owner) assert.is(owner.client.evicted, before + 1, "the loser was told once");
          owner = { client, attachment };
          break;
        }
      }
      await new Promise((resolve) => setImmediate(resolve));
      assert.is(session.attachment, owner?.attachment);
      for (const client of clients) assert.ok(printed.startsWith(client.text), "a client has something else");
      if (owner) assert.is(owner.client.text, printed, "the owner has everything");
    }
  } finally {
    await registry.close();
    process.log.dispose();
  }
}

test("one owner, every byte, each once to each client", async () => {
  const seed = Number(globalThis.process.env["EXEC_SERVER_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed}`);
  await fc.assert(fc.asyncProperty(steps, play), { seed, numRuns: 150 });
});

test.run();
