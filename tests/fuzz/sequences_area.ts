/** Right requests in odd orders, on several connections that share sessions. */
import fc from "fast-check";
import * as v from "valibot";
import { isObject, type JsonObject } from "../harness/wire_client.ts";
import type { Area } from "./area.ts";
import { COMMANDS, isHarmless } from "./harmless.ts";
import { CLOSE_CODES } from "./message_rules.ts";
import { type Closing, isClosing, type Peer, soon } from "./peer.ts";
import type { World } from "./world.ts";

const LINES = 3;
const PROCESSES = 3;

/** `open` without a session to resume; `resume`: with that of another connection. */
const ACTIONS = [
  "open",
  "resume",
  "start",
  "read",
  "write",
  "closeStdin",
  "signal",
  "resize",
  "terminate",
  "list",
  "observe",
  "unobserve",
  "acknowledge",
  "pause",
  "go on",
  "file",
  "close",
  "reset",
] as const;
/** What most steps are. */
const OFTEN = ["start", "start", "start", "resume", "read", "write", "terminate", "observe"] as const;

const Step = v.object({
  /** The connection. */
  line: v.number(),
  do: v.picklist(ACTIONS),
  /** The process, or the other connection. */
  which: v.number(),
  /** What it is about: a command, a signal, a time, a number. */
  choice: v.number(),
  /** False: the next step comes before the answer. */
  wait: v.boolean(),
});
type Step = v.InferOutput<typeof Step>;
const Case = v.object({ steps: v.array(Step) });
type Case = v.InferOutput<typeof Case>;

const SHORT_RUNS = 50;
const SIGNALS = ["interrupt", "SIGTERM", "SIGKILL", "SIGSTOP", "SIGCONT", "SIGHUP", "SIGWINCH"] as const;
/** The longest a request asks to wait, and the longest that a step waits for its answer, in ms. */
const LONGEST_WAIT_MS = 300;

/** Writes below `{W}`, reads everything. */
const SANDBOX = {
  permissions: {
    type: "managed",
    network: "restricted",
    file_system: {
      type: "restricted",
      entries: [
        { path: { type: "special", value: { kind: "root" } }, access: "read" },
        { path: { type: "path", path: "file://{W}" }, access: "write" },
      ],
    },
  },
  windowsSandboxLevel: "disabled",
};

const step: fc.Arbitrary<Step> = fc.record({
  line: fc.nat(LINES - 1),
  do: fc.constantFrom(...ACTIONS, ...OFTEN),
  which: fc.nat(PROCESSES - 1),
  choice: fc.nat(200),
  wait: fc.boolean(),
});

/** A connection and what it has sent. */
interface Line {
  peer: Peer;
  session: string;
  /** Requests and their answers; each must end. */
  readonly open: { readonly what: string; readonly answer: Promise<JsonObject | Closing> }[];
}

/** What clients do in turn. */
export const sequencesArea: Area<Case> = {
  name: "sequences",
  schema: Case,
  cases: fc.record({ steps: fc.array(step, { minLength: 1, maxLength: 30 }) }),
  shortRuns: SHORT_RUNS,
  async attempt(world, { steps }) {
    world.places.reset();
    const lines: Line[] = [];
    for (let index = 0; index < LINES; index++) lines.push(await openLine(world, index));
    const old: Line[] = [];
    for (const one of steps) await take(world, lines, old, one);
    for (const { peer } of lines) peer.resume();
    for (const { peer, open } of [...old, ...lines]) {
      for (const { what, answer } of open) {
        const got = await soon(`the answer to ${what}`, answer);
        if (isClosing(got) && !CLOSE_CODES.has(got.code) && got.code !== 1006) {
          throw new Error(`${what}: closed with ${got.code} ${got.reason}`);
        }
      }
      checkOrder(peer);
    }
  },
};

async function openLine(world: World, index: number, resume?: string): Promise<Line> {
  const peer = await world.open({ bare: true });
  const params = {
    clientName: "fuzz",
    acknowledgesOutput: index % 2 === 0,
    ...(resume !== undefined && { resumeSessionId: resume, cursors: index === 0 ? { p0: 1, p1: 0 } : {} }),
  };
  const answer = await soon("the answer to initialize", peer.request("initialize", params));
  const result = isClosing(answer) ? undefined : answer["result"];
  if (isObject(result)) peer.send('{"method":"initialized"}');
  return { peer, session: isObject(result) ? String(result["sessionId"]) : "none", open: [] };
}

async function take(world: World, lines: Line[], old: Line[], step: Step): Promise<void> {
  const line = lines[step.line % LINES];
  if (line === undefined) return;
  const { peer } = line;
  switch (step.do) {
    case "open":
    case "resume": {
      const other = lines[step.which % LINES];
      if (step.choice % 3 === 0) peer.end("reset");
      peer.resume();
      old.push(line);
      const resumed = step.do === "resume" ? other?.session : undefined;
      lines[step.line % LINES] = await openLine(world, step.choice, resumed);
      return;
    }
    case "acknowledge": {
      const params = { processId: `p${step.which}`, seq: step.choice % 7 };
      return peer.send(JSON.stringify({ method: "process/outputAck", params }));
    }
    case "pause":
      return peer.pause();
    case "go on":
      return peer.resume();
    case "close":
      return peer.end("close");
    case "reset":
      return peer.end("reset");
    default: {
      const [method, params] = requestOf(step, lines);
      if (!isHarmless(method, params)) throw new Error("this case could do harm: it is not sent");
      const answer = peer.request(method, world.place(params));
      line.open.push({ what: method, answer });
      // A paused client gets no answer before it goes on.
      if (step.wait) await Promise.race([answer, new Promise((wake) => setTimeout(wake, LONGEST_WAIT_MS))]);
    }
  }
}

function requestOf({ do: what, which, choice }: Step, lines: readonly Line[]): [string, unknown] {
  const processId = `p${which}`;
  switch (what) {
    case "start":
      return ["process/start", {
        processId,
        argv: COMMANDS[choice % COMMANDS.length],
        cwd: "file://{W}",
        env: { PATH: "/usr/bin:/bin" },
        tty: choice % 5 === 0,
        pipeStdin: choice % 3 > 0,
        timeoutMs: choice % 7 === 0 ? 30 : null,
        sandbox: choice % 8 === 0 ? SANDBOX : null,
        limits: choice % 9 === 0 ? { openFiles: 20, cpuSeconds: 1 } : null,
        startId: choice % 4 === 0 ? "01234567-89ab-4cde-8f01-23456789abcd" : null,
      }];
    case "read":
      return ["process/read", {
        processId,
        afterSeq: choice % 5,
        waitMs: choice % 2 === 0 ? 0 : LONGEST_WAIT_MS,
        maxBytes: choice % 3 === 0 ? choice : null,
      }];
    case "write":
      return ["process/write", {
        processId,
        chunk: Buffer.alloc(choice % 11 === 0 ? 200_000 : choice, 97).toString("base64"),
        writeId: `w${choice % 9}`,
      }];
    case "closeStdin":
      return ["process/closeStdin", { processId }];
    case "signal":
      return ["process/signal", { processId, signal: SIGNALS[choice % SIGNALS.length] }];
    case "resize":
      return ["process/resize", { processId, size: { rows: 1 + choice, cols: 65_535 } }];
    case "terminate":
      return ["process/terminate", { processId, ...(choice % 2 === 0 && { graceMs: choice }) }];
    case "observe":
      return ["process/observe", {
        sessionId: lines[choice % LINES]?.session ?? "none",
        processId,
        as: choice % 3 === 0 ? "seen" : `p${choice % PROCESSES}`,
        afterSeq: choice % 4 === 0 ? choice % 9 : null,
      }];
    case "unobserve":
      return ["process/unobserve", { processId: choice % 2 === 0 ? "seen" : processId }];
    case "file":
      return fileRequest(choice, choice % 8 === 0 ? SANDBOX : null);
    default:
      return ["process/list", null];
  }
}

function fileRequest(choice: number, sandbox: unknown): [string, unknown] {
  const path = choice % 2 === 0 ? "file://{W}/dir" : "file://{W}/file";
  switch (choice % 6) {
    case 0:
      return ["fs/writeFile", { path, dataBase64: "aGk=", sandbox }];
    case 1:
      return ["fs/remove", { path, sandbox }];
    case 2:
      return ["fs/copy", {
        sourcePath: "file://{W}/dir",
        destinationPath: "file://{W}/copy",
        recursive: true,
      }];
    case 3:
      return ["fs/readFile", { path, sandbox }];
    case 4:
      return ["fs/createDirectory", { path: "file://{W}/dir/sub/more", sandbox }];
    default:
      return ["fs/readDirectory", { path, sandbox }];
  }
}

/** The events of each process come in the order of their numbers, each once. */
function checkOrder(peer: Peer): void {
  const last = new Map<string, number>();
  for (const { method, params } of peer.messages) {
    if (!isObject(params) || typeof params["seq"] !== "number") continue;
    const name = String(params["processId"]);
    const before = last.get(name) ?? 0;
    const restarted = params["seq"] === 1 || before === Infinity;
    if (params["seq"] <= before && !restarted) {
      throw new Error(`event ${params["seq"]} of ${name} came after ${before}`);
    }
    // An ended observation frees its name: what comes then may have any number.
    last.set(name, method === "process/closed" ? 0 : params["seq"]);
  }
}
