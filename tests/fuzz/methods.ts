/** How the params of each method are made. A method that is served and not in here fails the tests. */
import fc from "fast-check";
import type * as v from "valibot";
import { Initialize, Initialized } from "../../src/protocol/initialize.ts";
import { ProcessOutputAck } from "../../src/protocol/process.ts";
import { createServer, DEFAULT_SERVER_OPTIONS } from "../../src/server/server.ts";
import { COMMANDS } from "./harmless.ts";
import { FOREIGN_URIS, HOSTILE_TEXTS, NO_URIS, SCRATCH_URIS } from "./hostile.ts";
import { sandboxes } from "./sandbox_policies.ts";
import type { Hints } from "./schema_values.ts";

/** Something that can be sent. */
export interface Declared {
  readonly name: string;
  readonly params: v.GenericSchema;
  /** Undefined for a notification. */
  readonly result: v.GenericSchema | undefined;
}

/** What the schema of a method does not tell. */
export interface MethodCase {
  readonly hints: Hints;
  /** Its answer may wait for something that never happens: the test does not. */
  readonly mayWait?: boolean;
}

/** Everything that a server takes. */
export async function declaredMethods(): Promise<Declared[]> {
  const { declared } = await createServer(DEFAULT_SERVER_OPTIONS, () => {});
  const methods = [Initialize, ...[...declared.values()].map((route) => route.method)];
  const notifications = [Initialized, ProcessOutputAck];
  return [
    ...methods.map(({ name, params, result }) => ({ name, params, result })),
    ...notifications.map(({ name, params }) => ({ name, params, result: undefined })),
  ];
}

const below = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(...SCRATCH_URIS) },
  { weight: 1, arbitrary: fc.constantFrom(...NO_URIS) },
);
/** For methods that only look. */
const anywhere = fc.oneof(
  { weight: 4, arbitrary: below },
  { weight: 1, arbitrary: fc.constantFrom(...FOREIGN_URIS) },
);
/** `cat` and `tty` run, `done` has ended; the case starts those that it names. */
const processId = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("cat", "tty", "done", "seen") },
  { weight: 1, arbitrary: fc.constantFrom(...HOSTILE_TEXTS) },
);
/** Seldom: each costs a bubblewrap. */
const sandbox = fc.oneof(
  { weight: 4, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: sandboxes },
);
const limit = fc.constantFrom(0, 1, 3, 64, 65, 10_000, 50_001);
const data = fc.constantFrom("", "aGk=", "aGk", "====", "!", "a\0", "QUJD".repeat(20_000));

/** `reader` and `writer` are open; the case opens those that it names. */
const handleId = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("reader", "writer", "new") },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", "i".repeat(32), "i".repeat(33), "ü".repeat(17), ...HOSTILE_TEXTS),
  },
);
const blockLength = fc.constantFrom(0, 1, 5, 1_048_576, 1_048_577);

const looks: MethodCase = { hints: { "file: URI": anywhere, sandbox } };
const changes: MethodCase = { hints: { "file: URI": below, sandbox, dataBase64: data } };
const processes: MethodCase = { hints: { processId } };
const waits: MethodCase = { hints: { processId }, mayWait: true };
const nothing: MethodCase = { hints: {} };

const argv = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...COMMANDS) },
  { weight: 1, arbitrary: fc.constantFrom(...HOSTILE_TEXTS).map((text) => ["echo", text]) },
  { weight: 1, arbitrary: fc.constantFrom(...HOSTILE_TEXTS).map((text) => ["printf", "%s", text]) },
);
const start: MethodCase = {
  hints: {
    "file: URI": fc.oneof({ weight: 4, arbitrary: fc.constantFrom("file://{W}", "file:///") }, {
      weight: 1,
      arbitrary: anywhere,
    }),
    processId: fc.constantFrom("new", "cat", "", "a\0b", "__proto__"),
    argv,
    sandbox,
    networkProxy: fc.constant(null),
  },
};

/** By name. */
export const METHODS: Readonly<Record<string, MethodCase>> = {
  initialize: {
    hints: { resumeSessionId: fc.constantFrom(null, "{SESSION}", "{OTHER}", "x", "", "{OTHER}\0", "\0") },
  },
  "environment/info": nothing,
  "environment/status": nothing,
  "process/start": start,
  "process/read": waits,
  "process/write": waits,
  "process/closeStdin": waits,
  "process/signal": processes,
  "process/resize": processes,
  "process/terminate": waits,
  "process/list": nothing,
  "process/observe": {
    hints: {
      processId,
      sessionId: fc.constantFrom("{SESSION}", "{OTHER}", "{OTHER}", "x", ""),
      as: fc.constantFrom(null, "seen", "cat", "", "__proto__"),
    },
  },
  "process/unobserve": processes,
  "fs/readFile": looks,
  "fs/writeFile": changes,
  "fs/createDirectory": changes,
  "fs/getMetadata": looks,
  "fs/canonicalize": looks,
  "fs/readDirectory": looks,
  // Elsewhere it may be a hundred thousand names.
  "fs/walk": {
    hints: { "file: URI": below, sandbox, maxDepth: limit, maxDirectories: limit, maxEntries: limit },
  },
  "fs/remove": changes,
  "fs/open": { hints: { "file: URI": below, sandbox, handleId } },
  "fs/readBlock": { hints: { handleId, len: blockLength } },
  "fs/writeBlock": { hints: { handleId, chunk: data } },
  "fs/close": { hints: { handleId } },
  "fs/copy": changes,
  initialized: nothing,
  "process/outputAck": processes,
};
