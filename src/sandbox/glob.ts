/**
 * Patterns that deny, in the syntax of Codex (the Rust crate globset, `/` only matched by itself): `*`, `?`, `**` as
 * a whole part, `[a-z]`, `[!a]`, `{a,b}`, and `\` before a character that means itself.
 *
 * Not made into a `RegExp`: that takes for ever for some patterns, and a client gives them. This takes as many steps
 * as the pattern and the path are long, multiplied.
 */
import { invalidParams } from "../protocol/error.ts";
import { clip } from "../protocol/quote.ts";
import { alternatives } from "./glob_braces.ts";

/** A pattern of an absolute path, split where the search begins. */
export interface GlobPattern {
  /** The part without any special character: where the search begins. */
  readonly base: string;
  /** The rest, a pattern for paths relative to it. */
  readonly rest: string;
}

type Token =
  | { readonly kind: "one"; readonly fits: (character: string) => boolean }
  /** Any part of a name. */
  | { readonly kind: "star" }
  /** Any number of whole folders, each with its slash. */
  | { readonly kind: "folders" }
  /** Everything that follows, at least one character. */
  | { readonly kind: "all" };

/**
 * Splits a pattern.
 * @throws ExecServerError `INVALID_PARAMS` when it is not absolute or climbs
 */
export function splitGlob(pattern: string): GlobPattern {
  if (!pattern.startsWith("/")) throw invalidParams(`glob pattern \`${clip(pattern)}\` is not absolute`);
  const parts = pattern.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw invalidParams(`glob pattern \`${clip(pattern)}\` must not contain \`..\``);
  const special = parts.findIndex((part) => /[*?[\]{}\\]/.test(part));
  const plain = special < 0 ? parts : parts.slice(0, special);
  return { base: `/${plain.join("/")}`, rest: special < 0 ? "" : parts.slice(special).join("/") };
}

/** Where one is in a pattern after part of a path: the places of each of its alternatives. */
export type GlobState = readonly ReadonlySet<number>[];

/** A pattern that is compared step by step, as a walk goes down. */
export interface GlobSteps {
  readonly start: GlobState;
  /** After more of the path. */
  readonly step: (state: GlobState, text: string) => GlobState;
  /** Whether the path so far fits. */
  readonly fits: (state: GlobState) => boolean;
}

/**
 * A pattern for paths relative to its base.
 * @throws ExecServerError `INVALID_PARAMS` for a pattern that makes no sense: it would deny nothing
 */
export function globSteps(rest: string): GlobSteps {
  const expanded = alternatives(rest);
  if (expanded === undefined) throw malformed(rest);
  const all = expanded.map((one) => tokensOf(one, rest));
  return {
    start: all.map((tokens) => enter(tokens, new Set(), 0)),
    step: (state, text) => {
      const characters = [...text];
      return state.map((places, index) => advance(all[index] ?? [], places, characters));
    },
    fits: (state) => state.some((places, index) => isComplete(all[index] ?? [], places)),
  };
}

/** True when nothing that follows can fit any more. */
export function isOver(state: GlobState): boolean {
  return state.every((places) => places.size === 0);
}

/** The same text for the same state. */
export function stateKey(state: GlobState): string {
  return state.map((places) => [...places].sort((a, b) => a - b).join()).join(";");
}

/** A test for whole paths. @throws ExecServerError as {@link globSteps} */
export function globMatcher(rest: string): (relative: string) => boolean {
  const { start, step, fits } = globSteps(rest);
  return (relative) => fits(step(start, relative));
}

function tokensOf(pattern: string, whole: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < pattern.length;) {
    const rest = pattern.slice(at);
    const startsPart = at === 0 || pattern[at - 1] === "/";
    const stars = /^\*+/.exec(rest)?.[0].length ?? 0;
    if (startsPart && /^\*\*(\/|$)/.test(rest)) {
      const folders = rest.length > 2;
      // Two in a row mean the same as one.
      if (!folders || tokens.at(-1)?.kind !== "folders") tokens.push({ kind: folders ? "folders" : "all" });
      at += 3;
    } else if (stars > 0) {
      tokens.push({ kind: "star" });
      at += stars;
    } else if (rest.startsWith("?")) {
      tokens.push({ kind: "one", fits: (character) => character !== "/" });
      at += 1;
    } else if (rest.startsWith("[")) {
      const found = /^\[([!^]?)(\]?[^\]]*)\]/.exec(rest);
      if (!found) throw malformed(whole);
      const [text, not = "", members = ""] = found;
      const contains = members === "" ? undefined : setOf(members);
      if (!contains) throw malformed(whole);
      tokens.push({ kind: "one", fits: (one) => one !== "/" && contains(one) === (not === "") });
      at += text.length;
    } else {
      const escaped = rest.startsWith("\\");
      if (escaped && rest.length < 2) throw malformed(whole);
      const literal = String.fromCodePoint(rest.codePointAt(escaped ? 1 : 0) ?? 0);
      tokens.push({ kind: "one", fits: (character) => character === literal });
      at += literal.length + (escaped ? 1 : 0);
    }
  }
  return tokens;
}

/** The members of `[...]`; undefined for a range that goes backwards. */
function setOf(members: string): ((character: string) => boolean) | undefined {
  const ranges: [number, number][] = [];
  const codes = [...members].map((character) => character.codePointAt(0) ?? 0);
  const dash = "-".codePointAt(0);
  for (let at = 0; at < codes.length; at++) {
    const from = codes[at] ?? 0;
    const to = codes[at + 1] === dash ? codes[at + 2] : undefined;
    if (to !== undefined && to < from) return undefined;
    ranges.push([from, to ?? from]);
    if (to !== undefined) at += 2;
  }
  return (character) => {
    const code = character.codePointAt(0) ?? 0;
    return ranges.some(([from, to]) => code >= from && code <= to);
  };
}

/** Adds a place, and those that are reached from it for nothing. A place is twice its index, plus one inside of it. */
function enter(tokens: readonly Token[], to: Set<number>, index: number): Set<number> {
  to.add(2 * index);
  const kind = tokens[index]?.kind;
  return kind === "star" || kind === "folders" ? enter(tokens, to, index + 1) : to;
}

/** Walks all possible places in the pattern at once. */
function advance(
  tokens: readonly Token[],
  from: ReadonlySet<number>,
  characters: readonly string[],
): ReadonlySet<number> {
  let places = from;
  for (const character of characters) {
    if (places.size === 0) break;
    const next = new Set<number>();
    for (const place of places) {
      const index = place >> 1;
      const token = tokens[index];
      if (token?.kind === "one" && token.fits(character)) enter(tokens, next, index + 1);
      else if (token?.kind === "star" && character !== "/") enter(tokens, next, index);
      else if (token?.kind === "all") next.add(2 * index + 1);
      else if (token?.kind === "folders") {
        // Inside a name nothing may follow; after its slash, everything may.
        if (character === "/") enter(tokens, next, index);
        else next.add(2 * index + 1);
      }
    }
    places = next;
  }
  return places;
}

function isComplete(tokens: readonly Token[], places: ReadonlySet<number>): boolean {
  const last = tokens.length - 1;
  return places.has(2 * tokens.length) || (tokens[last]?.kind === "all" && places.has(2 * last + 1));
}

function malformed(pattern: string) {
  return invalidParams(`glob pattern \`${clip(pattern)}\` is malformed`);
}
