/** The lines of the audit log: the one declaration that they are written, checked and documented by. */
import * as v from "valibot";

const text = (meaning: string) => v.pipe(v.string(), v.description(meaning));
const count = (meaning: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(meaning));
const flag = (meaning: string) => v.pipe(v.boolean(), v.description(meaning));

const connection = count("Number of the connection, from 1 on in each run");
const peer = text("Address and port of the client");
const session = text("The first 16 hex digits of the SHA-256 of the session's id, which itself is a secret");
const processName = text("The name that the client gave the process");
const outcome = text("`ok`, or the code of the error");
const suppressed = v.optional(
  count("So many refusals before this one were not written: there were too many within a second"),
);

/** What every line has. */
export const AUDIT_COMMON = {
  time: v.pipe(v.string(), v.isoTimestamp(), v.description("RFC 3339, UTC, with milliseconds")),
  run: text("The first 8 hex digits of a random number: one for each start of a server"),
  seq: v.pipe(
    v.number(),
    v.integer(),
    v.minValue(1),
    v.description("Counts the lines of a run, from 1 on; a gap is a lost line"),
  ),
};

/** The kinds of lines, and what each has beside {@link AUDIT_COMMON} and its name, `event`. */
export const AUDIT_EVENTS = {
  "server.started": {
    meaning: "The first line of a run, before the server listens",
    fields: v.strictObject({
      version: text("Version of the server"),
      pid: count("Process id of the server"),
      uid: v.pipe(
        v.nullable(v.number()),
        v.description("The user that it runs as; null where there are no users"),
      ),
    }),
  },
  "server.listening": {
    meaning: "From now on clients can connect",
    fields: v.strictObject({ url: text("Where") }),
  },
  "server.stopped": {
    meaning: "The last line of a run that was not killed",
    fields: v.strictObject({ signal: text("What ended it") }),
  },
  "connection.opened": {
    meaning: "A client has connected",
    fields: v.strictObject({ connection, peer }),
  },
  "connection.closed": {
    meaning: "A connection is gone",
    fields: v.strictObject({
      connection,
      peer,
      code: count("Close code of the WebSocket, the server's when it has ended it; 1006: it broke"),
      reason: v.optional(text("Why the server has ended it; absent when it has not")),
      durationMs: count("How long it was open, in ms"),
    }),
  },
  "connection.refused": {
    meaning: "A request over HTTP that got no connection",
    fields: v.strictObject({
      peer,
      status: count("Status of the answer"),
      reason: text("Its reason phrase"),
      suppressed,
    }),
  },
  "socket.refused": {
    meaning: "A socket that was closed before a request had come: too slow, too many, no HTTP, no TLS",
    fields: v.strictObject({ peer, reason: text("Why"), suppressed }),
  },
  "session.opened": {
    meaning: "A connection has begun a session",
    fields: v.strictObject({ connection, session }),
  },
  "session.resumed": {
    meaning: "A connection goes on with a session",
    fields: v.strictObject({ connection, session }),
  },
  "session.taken-over": {
    meaning: "Another connection has taken the session from this one",
    fields: v.strictObject({ connection, session }),
  },
  "session.expired": {
    meaning: "A session was without a connection for too long, or had to make room: its processes are ended",
    fields: v.strictObject({ session }),
  },
  "process.start": {
    meaning: "A process was started, or could not be",
    fields: v.strictObject({
      connection,
      session,
      process: processName,
      pid: v.optional(count("Its process id; absent when it was not started")),
      cwd: text("Its directory"),
      tty: flag("It has a terminal"),
      sandbox: v.optional(text("`linuxSeccomp` or `none`; absent when it was not started")),
      argvSha256: text("SHA-256 of program and arguments, each followed by a NUL, in hex"),
      argv: v.optional(
        v.pipe(
          v.array(v.string()),
          v.description("With `--audit-argv`: program and arguments, what looks like a secret replaced"),
        ),
      ),
      argvOmitted: v.optional(count("So many arguments at the end are not shown: there are too many")),
      outcome,
    }),
  },
  "process.exit": {
    meaning: "A started process has ended",
    fields: v.strictObject({
      session,
      process: processName,
      pid: count("Its process id"),
      exitCode: count("Its exit code; 128 + n when signal n ended it"),
      signal: v.optional(text("The signal that ended it")),
      timedOut: flag("Its time was over"),
      terminated: flag("A client, or the end of its session, ended it"),
      oomKilled: flag("The kernel killed it for want of memory"),
      durationMs: count("How long it ran, in ms"),
    }),
  },
  "file.change": {
    meaning: "A client has written, made, removed or copied files, opened one to write it, or tried to",
    fields: v.strictObject({
      connection,
      session,
      method: text("Method of the wire, such as `fs/writeFile`"),
      path: text("The file or directory; of a copy the source. As a URI when it is not UTF-8"),
      destination: v.optional(text("Of a copy: where to")),
      bytes: v.optional(count("Size of what was to be written")),
      outcome,
    }),
  },
  "http.request": {
    meaning: "A client has let the server make an HTTP request",
    fields: v.strictObject({
      connection,
      session,
      method: text("Method of HTTP"),
      host: text("Host and port of the URL, nothing else of it"),
      outcome,
    }),
  },
  "message.refused": {
    meaning: "A message that could not be read as a request",
    fields: v.strictObject({ connection, session: v.optional(session), suppressed }),
  },
  "request.refused": {
    meaning: "Any other request that was refused: not one that failed, such as the read of a missing file",
    fields: v.strictObject({
      connection,
      session: v.optional(session),
      method: text("Method of the wire, as the client wrote it"),
      code: text("Code of the error"),
      path: v.optional(
        text("Of a file request that could be read: the file or directory, of a copy the source"),
      ),
      suppressed,
    }),
  },
  "audit.lost": {
    meaning: "The log could not be written for a while, and had no room to keep everything",
    fields: v.strictObject({ lines: count("So many lines before this one are missing; their numbers too") }),
  },
} as const;

/** The name of a kind of line. */
export type AuditEventName = keyof typeof AUDIT_EVENTS;

/** What is recorded; time and numbers are added to it. */
export type AuditEvent = {
  [Name in AuditEventName]:
    & { readonly event: Name }
    & v.InferOutput<typeof AUDIT_EVENTS[Name]["fields"]>;
}[AuditEventName];

/** A line before it is told apart. */
const AnyLine = v.looseObject({
  event: v.pipe(v.string(), v.check(isEventName)),
});

function isEventName(name: string): name is AuditEventName {
  return Object.hasOwn(AUDIT_EVENTS, name);
}

/** A line as it is read back. */
export interface AuditLine {
  readonly event: AuditEventName;
  readonly seq: number;
  readonly run: string;
  readonly time: string;
  readonly [field: string]: unknown;
}

/** Reads a line of the log. @throws when it is not exactly what is declared here */
export function parseAuditLine(line: string): AuditLine {
  const parsed: unknown = JSON.parse(line);
  const { event } = v.parse(AnyLine, parsed);
  if (!isEventName(event)) throw new Error("unreachable: the schema has checked it");
  const { entries }: { readonly entries: v.ObjectEntries } = AUDIT_EVENTS[event].fields;
  const common = v.parse(v.looseObject(AUDIT_COMMON), parsed);
  const whole = v.parse(v.strictObject({ ...AUDIT_COMMON, event: v.literal(event), ...entries }), parsed);
  return { ...whole, ...common, event };
}
