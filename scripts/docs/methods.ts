/** The methods and notifications that src/protocol/ declares. */
import { Initialize } from "../../src/protocol/initialize.ts";
import type { Method, Notification } from "../../src/protocol/method.ts";
import { createServer, DEFAULT_SERVER_OPTIONS } from "../../src/server/server.ts";
import { isSchema } from "./schema.ts";
import { documentedExports, type MemberComment, sourceFiles } from "./source.ts";

/** A declaration with its doc comment. */
export interface Declaration<T> {
  readonly declared: T;
  readonly comment: string;
  /** The comments on its members: first those of the params, then those of the result. */
  readonly members: readonly MemberComment[];
}

/** Everything that can be sent. */
export interface Declarations {
  readonly methods: readonly Declaration<Method>[];
  readonly notifications: readonly Declaration<Notification>[];
}

/** All of it, in the order of a session: the handshake first. */
export async function declarations(): Promise<Declarations> {
  const methods: Declaration<Method>[] = [];
  const notifications: Declaration<Notification>[] = [];
  for (const file of sourceFiles("protocol", ["initialize.ts", "environment.ts", "process.ts", "files.ts"])) {
    for (const { value, comment, members } of await documentedExports(file)) {
      if (isMethod(value)) methods.push({ declared: value, comment, members });
      else if (isNotification(value)) notifications.push({ declared: value, comment, members });
    }
  }
  return { methods, notifications };
}

/**
 * The lane of each method, as the server routes it.
 * @throws Error for a method that is declared and not served
 */
export async function lanes(methods: readonly Method[]): Promise<Map<string, string>> {
  const { declared } = await createServer(DEFAULT_SERVER_OPTIONS, () => {});
  return new Map(methods.map(({ name }) => {
    if (name === Initialize.name) return [name, "at once"];
    const route = declared.get(name);
    if (!route) throw new Error(`${name} is declared and not served`);
    return [name, route.lane];
  }));
}

function isMethod(value: unknown): value is Method {
  return isNotification(value) && "area" in value && "result" in value && isSchema(value.result);
}

function isNotification(value: unknown): value is Notification {
  return typeof value === "object" && value !== null && "name" in value && typeof value.name === "string" &&
    "params" in value && isSchema(value.params);
}
