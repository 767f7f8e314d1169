/**
 * What a program has switched on in our terminal and not switched off again. A program that is killed, or left behind,
 * cannot clean up: the terminal would stay on the alternate screen, without cursor, sending mouse reports.
 */

/** Watches output for switches. */
export interface ScreenModes {
  /** Output that goes to the terminal; sequences may be split anywhere. */
  see(bytes: Uint8Array): void;
  /** What brings the terminal back to what it was; empty when nothing is on. */
  undo(): string;
}

/** Private modes (`CSI ? n h`) that are off in a fresh terminal, see xterm's ctlseqs. */
const USUALLY_OFF = [
  [1, 5, 9, 66], // cursor keys, reverse video, mouse, keypad
  [1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016], // mouse, focus
  [2004, 2026, 2031], // bracketed paste, synchronized output, colour reports
  [47, 1047, 1049], // alternate screen: last, so that the rest happens on the screen that is left
].flat();
/** Those that are on: wrapping at the margin, the cursor. */
const USUALLY_ON = [7, 25];

const ESCAPE = 0x1b;
/** Longest sequence that is looked at; a longer one is none of ours. */
const MAX_SEQUENCE = 64;

/** Other things that are not as in a fresh terminal. */
type Flag = "style" | "charset" | "keypad" | "margins" | "cursorStyle" | "otherKeys";

/** Makes one for a terminal in which nothing is switched. */
export function createScreenModes(): ScreenModes {
  let switched = new Set<number>();
  let flags = new Set<Flag>();
  let keyboards = 0; // kitty's stack of keyboard modes
  let sequence: string | undefined; // since the escape character

  const reset = () => {
    switched = new Set();
    flags = new Set();
    keyboards = 0;
  };
  const flag = (name: Flag, on: boolean) => on ? flags.add(name) : flags.delete(name);

  /** True when it is whole. */
  const take = (text: string): boolean => {
    if (text === "[" || /^[()*+ #%]$/.test(text)) return false;
    if (!text.startsWith("[")) {
      if (text === "c") reset();
      else if (text === "=" || text === ">") flag("keypad", text === "=");
      else if (text.startsWith("(")) flag("charset", text !== "(B");
      return true;
    }
    const [, mark, numbers = "", middle, end] = /^\[([<=>?]?)([\d;:]*)([ -/]*)([@-~])$/.exec(text) ?? [];
    if (end === undefined) return false;
    const [first = ""] = numbers.split(";");
    switch (`${mark}${middle}${end}`) {
      case "?h":
      case "?l":
        for (const mode of numbers.split(";").map(Number)) {
          const usual = USUALLY_ON.includes(mode);
          if (!usual && !USUALLY_OFF.includes(mode)) continue;
          if ((end === "h") === usual) switched.delete(mode);
          else switched.add(mode);
        }
        break;
      case "m":
        flag("style", !/(?:^|;)0*$/.test(numbers)); // ends in 0 or is empty: all off
        break;
      case "r":
        flag("margins", numbers !== "");
        break;
      case " q":
        flag("cursorStyle", Number(first) !== 0);
        break;
      case ">m":
        if (first === "4") flag("otherKeys", Number(numbers.split(";")[1] ?? 0) !== 0);
        break;
      case ">u":
        keyboards++;
        break;
      case "<u":
        keyboards = Math.max(0, keyboards - Number(first === "" ? 1 : first));
        break;
      case "!p":
        reset();
        break;
    }
    return true;
  };

  return {
    see(bytes) {
      for (let at = 0; at < bytes.length;) {
        if (sequence === undefined) {
          at = bytes.indexOf(ESCAPE, at);
          if (at < 0) return;
          sequence = "";
          at++;
          continue;
        }
        const byte = bytes[at++] ?? 0;
        if (byte === ESCAPE) sequence = "";
        else if (byte < 0x20 || byte > 0x7e) sequence = undefined; // an aborted one, or text
        else if (take(sequence += String.fromCharCode(byte)) || sequence.length >= MAX_SEQUENCE) {
          sequence = undefined;
        }
      }
    },
    undo() {
      const off = USUALLY_OFF.filter((mode) => switched.has(mode)).map((mode) => `\x1b[?${mode}l`);
      const on = USUALLY_ON.filter((mode) => switched.has(mode)).map((mode) => `\x1b[?${mode}h`);
      const text = [
        flags.has("style") ? "\x1b[0m" : "",
        flags.has("charset") ? "\x1b(B" : "",
        flags.has("keypad") ? "\x1b>" : "",
        flags.has("margins") ? "\x1b7\x1b[r\x1b8" : "", // setting margins moves the cursor
        flags.has("otherKeys") ? "\x1b[>4m" : "",
        flags.has("cursorStyle") ? "\x1b[0 q" : "",
        keyboards > 0 ? `\x1b[<${keyboards}u` : "",
        ...on,
        ...off,
      ].join("");
      reset();
      // In the middle of a sequence the terminal would take ours for its rest: CAN ends it.
      return sequence === undefined ? text : `\x18${text}`;
    },
  };
}
