/** Commands to ourselves among the keys of a terminal session, as ssh(1) has them: `~.` at the beginning of a line. */

/** What a person asks of us instead of the program. */
export type EscapeCommand = "leave" | "detach" | "suspend" | "help";

/** Keys for the program, or a command. */
export type Typed = Uint8Array | EscapeCommand;

/** Takes keys apart; remembers where it is between the pieces. */
export interface Escapes {
  /** What a piece of input means, in order. A possible beginning of a command is held until the next key. */
  feed(bytes: Uint8Array): Typed[];
}

const COMMANDS: ReadonlyMap<number, EscapeCommand> = new Map([
  [code("."), "leave"],
  [code("d"), "detach"],
  [0x1a, "suspend"], // Ctrl-Z
  [code("?"), "help"],
]);
const NEWLINE = 0x0a;
const RETURN = 0x0d;
/** What a terminal puts around text that was pasted, when the program has asked for it. */
const PASTE_BEGINS = codes("\x1b[200~");
const PASTE_ENDS = codes("\x1b[201~");

/**
 * Makes one.
 * @param character what begins a command; undefined: nothing does
 */
export function createEscapes(character: number | undefined): Escapes {
  let lineBegins = true;
  let held = false;
  let pasting = false; // what is pasted is text, also where it looks like a command
  let matched = 0; // bytes of the mark that would begin or end a paste

  const followPaste = (byte: number) => {
    const mark = pasting ? PASTE_ENDS : PASTE_BEGINS;
    matched = byte === mark[matched] ? matched + 1 : byte === mark[0] ? 1 : 0;
    if (matched < mark.length) return;
    pasting = !pasting;
    matched = 0;
  };

  return {
    feed(bytes) {
      if (character === undefined) return [bytes];
      const found: Typed[] = [];
      let keys = new Uint8Array(bytes.length + 1); // one may have been held
      let count = 0;
      const flush = () => {
        if (count > 0) found.push(keys.slice(0, count));
        keys = new Uint8Array(bytes.length + 1);
        count = 0;
      };
      for (const byte of bytes) {
        if (held) {
          held = false;
          const command = COMMANDS.get(byte);
          if (command) { // and the line has not begun yet
            flush();
            found.push(command);
            continue;
          }
          if (byte !== character) keys[count++] = character;
        } else if (byte === character && lineBegins && !pasting) {
          held = true;
          continue;
        }
        followPaste(byte);
        lineBegins = byte === NEWLINE || byte === RETURN;
        keys[count++] = byte;
      }
      flush();
      return found;
    },
  };
}

/** `~`, `^]` (Ctrl-]) or `none` as the code of a character; null when it is nothing of that. */
export function escapeCharacter(text: string): number | undefined | null {
  if (text === "none") return undefined;
  const [, control, plain] = /^\^([@-_a-z])$|^([!-~])$/.exec(text) ?? [];
  if (control !== undefined) return code(control) & 0x1f;
  return plain === undefined ? null : code(plain);
}

/** How a character is written for people: `~`, `^]`. */
export function characterName(character: number): string {
  return character < 0x20 ? `^${String.fromCharCode(character | 0x40)}` : String.fromCharCode(character);
}

function codes(text: string): readonly number[] {
  return [...text].map(code);
}

function code(character: string): number {
  return character.charCodeAt(0);
}
