/** A message between client and server, as far as the checks look into it. */
import * as v from "valibot";

/** One message. */
export interface WireMessage {
  readonly from: "client" | "server";
  /** Of requests and notifications. */
  readonly method: string | undefined;
  readonly params: Record<string, unknown>;
  /** Of answers. */
  readonly result: unknown;
  /** As it came, for people. */
  readonly text: string;
}

const Message = v.object({
  method: v.optional(v.string()),
  params: v.fallback(v.record(v.string(), v.unknown()), {}),
  result: v.optional(v.unknown()),
});

/** Reads a message; one that is not JSON has neither method nor parameters. */
export function parseWireMessage(from: WireMessage["from"], text: string): WireMessage {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Message), text);
  if (!parsed.success) return { from, method: undefined, params: {}, result: undefined, text };
  const { method, params, result } = parsed.output;
  return { from, method, params, result, text };
}

/** The last messages, each as one readable line. */
export function tailOf(messages: readonly WireMessage[], count: number): string {
  return messages.slice(-count).map((message) =>
    `    ${message.from === "client" ? "-->" : "<--"} ${brief(message)}`
  ).join("\n");
}

function brief({ method, params, text }: WireMessage): string {
  if (method === "process/output") {
    return `process/output seq ${params["seq"]}, ${String(params["chunk"]).length} base64 digits`;
  }
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
