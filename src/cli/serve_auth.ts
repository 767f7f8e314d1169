/** `serve`: who may connect. */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { hasCode } from "../protocol/error.ts";
import { osErrorText } from "../protocol/os_error.ts";
import { type AuthMode, sha256 } from "../server/auth.ts";
import { countOption, type Options, textOption, wordOption } from "./options.ts";

/** What `--ws-auth` takes. */
const MODES = ["token", "capability-token", "signed-bearer-token", "none"] as const;
/** Of the random token: 256 bits. */
const TOKEN_BYTES = 32;
/** A shorter secret than SHA-256's output weakens HS256 (RFC 7518, section 3.2). */
const MIN_SECRET_BYTES = 32;
const DEFAULT_CLOCK_SKEW_SECONDS = 30;
const MAX_CLOCK_SKEW_SECONDS = 86_400;

const CAPABILITY_FLAGS = ["ws-token-file", "ws-token-sha256"];
const JWT_FLAGS = ["ws-shared-secret-file", "ws-issuer", "ws-audience", "ws-max-clock-skew-seconds"];

/** How clients prove that they may connect, and the token if the server knows one. */
export interface AuthChoice {
  readonly mode: AuthMode;
  /** What a client of this user may be told. */
  readonly token?: string;
  /** The files it came from. */
  readonly secrets: readonly string[];
}

/**
 * Reads `--ws-auth` and what belongs to it.
 * @throws UsageError for an unknown mode, Error with the reference's texts for what does not fit together
 */
export async function authOption(options: Options): Promise<AuthChoice> {
  const kind = wordOption(options, "ws-auth", MODES, "token");
  const given = (names: string[]) => names.filter((name) => textOption(options, name) !== undefined);
  const capability = given(CAPABILITY_FLAGS);
  const jwt = given(JWT_FLAGS);
  switch (kind) {
    case "none":
    case "token": {
      if (capability.length + jwt.length > 0) {
        throw new Error(
          "websocket auth flags require `--ws-auth capability-token` or `--ws-auth signed-bearer-token`",
        );
      }
      if (kind === "none") return { mode: { kind }, secrets: [] };
      const token = randomBytes(TOKEN_BYTES).toString("base64url");
      return { mode: { kind, token }, token, secrets: [] };
    }
    case "capability-token":
      if (jwt.length > 0) {
        throw new Error(
          "`--ws-shared-secret-file`, `--ws-issuer`, `--ws-audience`, and `--ws-max-clock-skew-seconds` require " +
            "`--ws-auth signed-bearer-token`",
        );
      }
      return capabilityToken(options);
    case "signed-bearer-token":
      if (capability.length > 0) {
        throw new Error(
          "`--ws-token-file` and `--ws-token-sha256` require `--ws-auth capability-token`, not `signed-bearer-token`",
        );
      }
      return await signedToken(options);
  }
}

function capabilityToken(options: Options): AuthChoice {
  const file = textOption(options, "ws-token-file");
  const digest = textOption(options, "ws-token-sha256");
  if (file !== undefined && digest !== undefined) {
    throw new Error("`--ws-token-file` and `--ws-token-sha256` are mutually exclusive");
  }
  if (file !== undefined) {
    const token = readSecret(file);
    return { mode: { kind: "capability-token", sha256: sha256(token) }, token, secrets: [resolve(file)] };
  }
  if (digest === undefined) {
    throw new Error(
      "`--ws-token-file` or `--ws-token-sha256` is required when `--ws-auth capability-token` is set",
    );
  }
  if (!/^[0-9a-f]{64}$/i.test(digest)) {
    throw new Error("--ws-token-sha256 must be a 64-character hex SHA-256 digest");
  }
  return { mode: { kind: "capability-token", sha256: Buffer.from(digest, "hex") }, secrets: [] };
}

async function signedToken(options: Options): Promise<AuthChoice> {
  const file = textOption(options, "ws-shared-secret-file");
  if (file === undefined) {
    throw new Error("`--ws-shared-secret-file` is required when `--ws-auth signed-bearer-token` is set");
  }
  const secret = Buffer.from(readSecret(file));
  if (secret.length < MIN_SECRET_BYTES) {
    throw new Error(
      `signed websocket bearer secret ${resolve(file)} must be at least ${MIN_SECRET_BYTES} bytes`,
    );
  }
  const { jwtCheck } = await import("../server/auth_jwt.ts");
  const verify = jwtCheck({
    secret,
    issuer: textOption(options, "ws-issuer"),
    audience: textOption(options, "ws-audience"),
    maxClockSkewSeconds: countOption(
      options,
      "ws-max-clock-skew-seconds",
      0,
      MAX_CLOCK_SKEW_SECONDS,
      DEFAULT_CLOCK_SKEW_SECONDS,
    ),
  });
  return { mode: { kind: "signed-bearer-token", verify }, secrets: [resolve(file)] };
}

/** A secret in a file, without the space around it. @throws Error when it cannot be read or is empty */
function readSecret(name: string): string {
  const path = resolve(name);
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new Error(
      `failed to read websocket auth secret ${path}: ${
        hasCode(error) ? osErrorText(error.code) : String(error)
      }`,
    );
  }
  if (text === "") throw new Error(`websocket auth secret ${path} must not be empty`);
  return text;
}
