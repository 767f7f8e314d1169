/** A model that says what a script tells it: the part of the responses API that `codex exec` uses. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import * as v from "valibot";
import { listenOnLoopback } from "./loopback.ts";

/** One call of a tool. */
export type ToolCall =
  | { readonly tool: "exec_command" | "write_stdin"; readonly arguments: Record<string, unknown> }
  | { readonly tool: "apply_patch"; readonly patch: string };

/** As `session_id`: the newest that the client has told. */
export const LAST_SESSION = "last";

/** A running model. */
export interface Model {
  /** `http://127.0.0.1:PORT/v1`. */
  readonly url: string;
  /** What the client said to the calls, in their order. */
  readonly outputs: readonly string[];
  close(): Promise<void>;
}

const Request = v.object({ input: v.array(v.looseObject({ type: v.optional(v.string()) })) });
const Output = v.object({
  type: v.picklist(["function_call_output", "custom_tool_call_output"]),
  call_id: v.string(),
  output: v.union([v.string(), v.array(v.looseObject({ text: v.optional(v.string(), "") }))]),
});

/** Starts a model on loopback that makes one call an answer and then ends the conversation. */
export async function startModel(calls: readonly ToolCall[]): Promise<Model> {
  let outputs: string[] = [];

  const respond = (body: string, response: ServerResponse) => {
    outputs = outputsOf(v.parse(Request, JSON.parse(body)).input);
    const call = calls[outputs.length];
    const item = call ? callItem(call, outputs) : FAREWELL;
    const id = `response-${outputs.length}`;
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (
      const event of [
        { type: "response.created", response: { id } },
        { type: "response.output_item.done", item },
        { type: "response.completed", response: { id, usage: USAGE } },
      ]
    ) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    response.end();
  };

  const http = createServer((request, response) => {
    if (request.method !== "POST" || request.url !== "/v1/responses") {
      response.writeHead(404).end();
      return;
    }
    bodyOf(request).then((body) => respond(body, response)).catch((error: unknown) => {
      response.writeHead(400).end(String(error));
    });
  });
  const port = await listenOnLoopback(http);
  return {
    url: `http://127.0.0.1:${port}/v1`,
    get outputs() {
      return outputs;
    },
    async close() {
      const closed = new Promise((ok) => http.close(ok));
      http.closeAllConnections();
      await closed;
    },
  };
}

const USAGE = { input_tokens: 1, output_tokens: 1, total_tokens: 2 };
const FAREWELL = {
  type: "message",
  role: "assistant",
  id: "farewell",
  content: [{ type: "output_text", text: "done" }],
};

function callItem(call: ToolCall, outputs: readonly string[]) {
  const common = { call_id: `call-${outputs.length}`, name: call.tool };
  return call.tool === "apply_patch"
    ? { ...common, type: "custom_tool_call", input: call.patch }
    : { ...common, type: "function_call", arguments: JSON.stringify(withSession(call.arguments, outputs)) };
}

/** The client chooses the number of a session that still runs, and tells it. */
function withSession(args: Record<string, unknown>, outputs: readonly string[]): Record<string, unknown> {
  if (args["session_id"] !== LAST_SESSION) return args;
  const told = outputs.findLast((output) => /session ID \d+/i.test(output));
  return { ...args, session_id: Number(/session ID (\d+)/i.exec(told ?? "")?.[1]) };
}

function outputsOf(input: readonly unknown[]): string[] {
  return input.filter((item) => v.is(Output, item)).map(({ output }) =>
    typeof output === "string" ? output : output.map(({ text }) => text).join("")
  );
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const text of request.setEncoding("utf8")) body += String(text);
  return body;
}
