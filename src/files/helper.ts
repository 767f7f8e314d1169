/**
 * What runs inside a sandbox to carry out file requests. It knows nothing of sessions or connections, and loads only
 * what works with files: its start is on the way of a client's first request.
 */
import { type HelperPolicy, readOpening, readRequest, readSingle, READY_TEXT } from "./helper_messages.ts";
import { fileRoutes } from "./handler.ts";
import { createFileHandles, type FileHandles } from "./handles.ts";
import { linesOf } from "./helper_lines.ts";
import { policedFiles } from "./helper_policy.ts";
import { localFiles } from "./local.ts";
import { ExecServerError, RpcCode, rpcCodeOf, toExecServerError } from "../protocol/error.ts";
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";
import type { Route } from "../rpc/route.ts";

/** Where requests come from and answers go. */
export interface HelperStreams {
  readonly input: AsyncIterable<Uint8Array>;
  /** Resolves when the text has been taken. */
  write(text: string): Promise<void>;
}

/** A request is a message of a client, and nothing is added to it but an id. */
const MAX_LINE_BYTES = MAX_MESSAGE_BYTES + 4096;

/** Answers requests, several at the same time, until the input ends and all of them are answered. */
export async function serveRequests({ input, write }: HelperStreams): Promise<void> {
  let routes: ReadonlyMap<string, Route> | undefined;
  const handles = createFileHandles();
  const { signal } = new AbortController(); // who gives up ends the whole helper
  const running = new Set<Promise<void>>();
  const take = (line: string) => {
    if (!routes) {
      routes = routesOf(readOpening(line), handles);
      running.add(write(READY_TEXT));
      return;
    }
    const { id, method, params } = readRequest(line);
    const work = answer(routes, method, params, signal).then((found) =>
      write(`${JSON.stringify({ id, ...found })}\n`)
    );
    running.add(work);
    work.finally(() => running.delete(work)).catch(() => {});
  };
  const lines = linesOf(MAX_LINE_BYTES, take);
  for await (const bytes of input) {
    if (!lines.push(bytes)) throw new Error("a request is too long");
  }
  await Promise.all(running);
  await handles.close();
}

/** Answers one request: the whole input, with the policy in it. */
export async function serveOnce({ input, write }: HelperStreams): Promise<void> {
  let first: string | undefined;
  const lines = linesOf(MAX_LINE_BYTES, (line) => first ??= line);
  for await (const bytes of input) {
    if (!lines.push(bytes)) throw new Error("the request is too long");
    if (first !== undefined) break;
  }
  if (first === undefined) lines.push(new Uint8Array([10])); // a newline at the end is not needed
  const { policy, method, params } = readSingle(first ?? "");
  const handles = createFileHandles();
  const { signal } = new AbortController();
  const routes = routesOf(policy, handles);
  await write(`${JSON.stringify(await answer(routes, method, params, signal))}\n`);
  await handles.close();
}

function routesOf(policy: HelperPolicy, handles: FileHandles): ReadonlyMap<string, Route> {
  const routes = fileRoutes(policedFiles(localFiles(), policy), undefined, handles);
  return new Map(routes.map((route) => [route.method.name, route]));
}

async function answer(
  routes: ReadonlyMap<string, Route>,
  name: string,
  params: unknown,
  signal: AbortSignal,
): Promise<object> {
  try {
    const route = routes.get(name);
    if (!route) {
      throw new ExecServerError("METHOD_NOT_FOUND", `no method ${name}`, { rpcCode: RpcCode.methodNotFound });
    }
    const result = await route.prepare(params)({
      signal,
      afterAnswer() {},
      afterwards() {},
    });
    return { result };
  } catch (error) {
    const failure = toExecServerError(error);
    return { error: { code: rpcCodeOf(failure, "fs"), message: failure.message } };
  }
}
