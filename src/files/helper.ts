/**
 * What runs inside a sandbox to carry out file requests. It knows nothing of sessions or connections, and loads only
 * what works with files: its start is on the way of a client's first request.
 */
import {
  DISCARD,
  type HelperPolicy,
  readDiscard,
  readOpening,
  readRequest,
  readSingle,
  READY_TEXT,
} from "./helper_messages.ts";
import { announcing, discardTemporaries } from "./helper_temporary.ts";
import { fileRoutes } from "./handler.ts";
import { createFileHandles, type FileHandles } from "./handles.ts";
import { linesOf } from "./helper_lines.ts";
import { readSmallFile } from "./helper_read.ts";
import { policedFiles } from "./helper_policy.ts";
import type { HelperStreams } from "./helper_streams.ts";
import { localFiles } from "./local.ts";
import type { WatchTemporary } from "./temporary_file.ts";
import { ExecServerError, RpcCode, rpcCodeOf, toExecServerError } from "../protocol/error.ts";
import { FsReadFile } from "../protocol/files.ts";
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import type { Route } from "../rpc/route.ts";

/** A request is a message of a client, and nothing is added to it but an id. */
const MAX_LINE_BYTES = MAX_MESSAGE_BYTES + 4096;
/** Who gives up ends the whole helper. */
const NEVER_ABORTED = new AbortController().signal;
/** The server counts what its connections have open. */
const ANY_HANDLES = Infinity;
const NEWLINE = new Uint8Array([10]);

/** Answers requests, several at the same time, until the input ends and all of them are answered. */
export async function serveRequests(streams: HelperStreams): Promise<void> {
  let opened: { readonly policy: HelperPolicy; readonly routes: ReadonlyMap<string, Route> } | undefined;
  const handles = createFileHandles(ANY_HANDLES);
  const running = new Set<Promise<void>>();
  const say = (message: object) => streams.write(`${JSON.stringify(message)}\n`);
  const take = (line: string) => {
    if (!opened) {
      const policy = readOpening(line);
      opened = { policy, routes: routesOf(policy, handles, announcing(say)) };
      streams.write(READY_TEXT);
      return;
    }
    const { id, method, params } = readRequest(line);
    if (method === DISCARD) {
      discardTemporaries(readDiscard(params));
      return say({ id, result: {} });
    }
    const content = method === FsReadFile.name ? readSmallFile(opened.policy, params) : undefined;
    if (content) {
      streams.write(`{"id":${id},"result":{"dataBase64":"${content.toString("base64")}"}}\n`);
      return;
    }
    const work = answer(opened.routes, method, params).then((found) => say({ id, ...found }));
    running.add(work);
    work.finally(() => running.delete(work)).catch(() => {});
  };
  const lines = linesOf(MAX_LINE_BYTES, take);
  for (;;) {
    const bytes = running.size === 0 ? streams.wait() : await streams.read();
    if (bytes.length === 0) break;
    if (!lines.push(bytes)) throw new Error("a request is too long");
    if (running.size > 0) await new Promise((resolve) => setImmediate(resolve)); // some work is done by then
  }
  await Promise.all(running);
  await handles.close();
}

/** Answers one request: the whole input, with the policy in it. */
export async function serveOnce(streams: HelperStreams): Promise<void> {
  let first: string | undefined;
  const lines = linesOf(MAX_LINE_BYTES, (line) => first ??= line);
  while (first === undefined) {
    const bytes = streams.wait();
    // A newline at the end is not needed.
    if (!lines.push(bytes.length > 0 ? bytes : NEWLINE)) throw new Error("the request is too long");
  }
  const { policy, method, params } = readSingle(first);
  const handles = createFileHandles(ANY_HANDLES);
  streams.write(`${JSON.stringify(await answer(routesOf(policy, handles), method, params))}\n`);
  await handles.close();
}

function routesOf(
  policy: HelperPolicy,
  handles: FileHandles,
  watch?: WatchTemporary,
): ReadonlyMap<string, Route> {
  const routes = fileRoutes(policedFiles(localFiles(watch), policy, watch), undefined, handles);
  return new Map(routes.map((route) => [route.method.name, route]));
}

async function answer(
  routes: ReadonlyMap<string, Route>,
  name: string,
  params: unknown,
): Promise<object> {
  try {
    const route = routes.get(name);
    if (!route) {
      throw new ExecServerError("METHOD_NOT_FOUND", `no method ${name}`, { rpcCode: RpcCode.methodNotFound });
    }
    const result = await route.prepare(params)({
      signal: NEVER_ABORTED,
      afterAnswer() {},
      afterwards() {},
    });
    return { result };
  } catch (error) {
    const failure = toExecServerError(error);
    return { error: { code: rpcCodeOf(failure, "fs"), message: failure.message } };
  }
}
