/** The requests that are recorded, and what is told of them: starts, changes of files, HTTP requests. */
import { Buffer } from "node:buffer";
import { nativePathText } from "../files/native_path.ts";
import { FsCopy, FsCreateDirectory, FsOpen, FsRemove, FsWriteFile } from "../protocol/files.ts";
import { membersOf, type Method } from "../protocol/method.ts";
import { ProcessStart } from "../protocol/process.ts";
import type { LocalProcess } from "../process/local_process.ts";
import type { Session } from "../session/session.ts";
import { type Audit, sessionDigest } from "./audit.ts";

/** A request that has been decoded. */
export interface AuditedRequest {
  readonly connection: number;
  readonly session: Session;
  readonly method: Method;
  /** As they came: what is told of them must not cost a second decoding. */
  readonly params: unknown;
}

/** What is told of a path or a name at most, in characters: names longer than PATH_MAX name nothing. */
const MAX_TEXT_CHARS = 4_096;
/** Not declared in this version of the protocol's methods; recorded as soon as it is. */
const HTTP_REQUEST = "http/request";
/** `fs/open` stands for all blocks that are then written, and for the commit. */
const CHANGES: ReadonlySet<string> = new Set(
  [FsWriteFile, FsCreateDirectory, FsRemove, FsCopy, FsOpen].map(({ name }) => name),
);

/** Processes whose start has been recorded: one may be asked for twice. */
const recorded = new WeakSet<LocalProcess>();

/** What records the outcome of a request, `ok` or the code of its error; undefined when it is not recorded. */
export function recorder(audit: Audit, request: AuditedRequest): ((outcome: string) => void) | undefined {
  const { name } = request.method;
  if (name === ProcessStart.name) return startRecorder(audit, request);
  if (name !== HTTP_REQUEST && !CHANGES.has(name)) return undefined;
  const members = membersOf(request.method, request.params);
  if (name === FsOpen.name && (members["mode"] ?? "read") === "read") return undefined;
  const common = { connection: request.connection, session: sessionDigest(request.session.id) };
  if (name === HTTP_REQUEST) {
    const [method, host] = [cut(members["method"]), hostOf(members["url"])];
    return (outcome) => audit.record({ event: "http.request", ...common, method, host, outcome });
  }
  const { destinationPath, dataBase64 } = members;
  const change = {
    method: name,
    path: pathOf(members["path"] ?? members["sourcePath"]),
    ...(destinationPath !== undefined && { destination: pathOf(destinationPath) }),
    ...(typeof dataBase64 === "string" && { bytes: Buffer.byteLength(dataBase64, "base64") }),
  };
  return (outcome) => audit.record({ event: "file.change", ...common, ...change, outcome });
}

/** The path in a file request; undefined in any other, and in those that name an open file. */
export function refusedPath(method: Method, params: unknown): string | undefined {
  if (!method.name.startsWith("fs/")) return undefined;
  const members = membersOf(method, params);
  const path = members["path"] ?? members["sourcePath"];
  return path === undefined ? undefined : pathOf(path);
}

function startRecorder(audit: Audit, request: AuditedRequest): (outcome: string) => void {
  const { connection, method, session: owner } = request;
  const session = sessionDigest(owner.id);
  const members = membersOf(method, request.params);
  const name = typeof members["processId"] === "string" ? members["processId"] : "";
  const argv = Array.isArray(members["argv"]) ? members["argv"].map(String) : [];
  const start = {
    event: "process.start",
    connection,
    session,
    process: cut(name),
    cwd: pathOf(members["cwd"]),
    tty: members["tty"] === true,
    ...audit.argv(argv),
  } as const;
  return (outcome) => {
    const started = outcome === "ok" ? owner.processes.get(name) : undefined;
    if (!started) return audit.record({ ...start, outcome });
    if (recorded.has(started)) return;
    recorded.add(started);
    const { pid = 0, startedAtMs, log } = started;
    audit.record({ ...start, pid, sandbox: started.sandboxed ? "linuxSeccomp" : "none", outcome });
    const exited = () => {
      if (!log.exit) return;
      unsubscribe();
      const { exitCode, signal, timedOut, terminated, oomKilled } = log.exit;
      audit.record({
        event: "process.exit",
        session,
        process: cut(name),
        pid,
        exitCode,
        ...(signal !== undefined && { signal }),
        timedOut,
        terminated,
        oomKilled,
        durationMs: Math.max(0, Date.now() - startedAtMs),
      });
    };
    const unsubscribe = log.subscribe(exited);
    exited();
  };
}

/** The path that a URI names; the URI itself where no text can be made of it. */
function pathOf(uri: unknown): string {
  try {
    return cut(nativePathText(new URL(String(uri))));
  } catch {
    return cut(uri);
  }
}

function hostOf(url: unknown): string {
  try {
    return cut(new URL(String(url)).host);
  } catch {
    return "";
  }
}

function cut(value: unknown): string {
  const text = typeof value === "string" ? value : "";
  return text.length <= MAX_TEXT_CHARS ? text : `${text.slice(0, MAX_TEXT_CHARS)}…`;
}
