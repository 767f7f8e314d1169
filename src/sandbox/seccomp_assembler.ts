/**
 * A small assembler for classic BPF, as seccomp(2) takes it: `struct sock_filter` is u16 code, u8 jump if true, u8 jump
 * if false, u32 constant, in the machine's order of bytes (little-endian on both architectures).
 */

const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS of the kernel. */
const MAX_INSTRUCTIONS = 4096;
const MAX_JUMP = 255; // the offsets are one byte, and forward only: a filter always ends

// linux/bpf_common.h
const LOAD_WORD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_AT_LEAST = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP_ANY_BIT = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const AND = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN = 0x06; // BPF_RET | BPF_K

/** How the accumulator is compared with a constant. */
export type Test = "equal" | "at-least" | "any-bit";

const TESTS: Readonly<Record<Test, number>> = {
  equal: JUMP_EQUAL,
  "at-least": JUMP_AT_LEAST,
  "any-bit": JUMP_ANY_BIT,
};

/** Where a jump goes: a label, or the instruction after the jump. */
export type Target = string | "next";

interface Instruction {
  readonly code: number;
  readonly constant: number;
  readonly jumps?: readonly [whenTrue: Target, whenFalse: Target];
}

/** Collects instructions; labels are resolved by {@link Assembler.bytes}. */
export class Assembler {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();
  #made = 0;

  /** Loads 32 bits of `struct seccomp_data` at this offset into the accumulator. */
  load(offset: number): void {
    this.#instructions.push({ code: LOAD_WORD, constant: offset });
  }

  /** Keeps only these bits of the accumulator. */
  and(mask: number): void {
    this.#instructions.push({ code: AND, constant: mask });
  }

  /** Ends the filter with this verdict. */
  verdict(value: number): void {
    this.#instructions.push({ code: RETURN, constant: value });
  }

  /** Jumps by a comparison of the accumulator with a constant. */
  jump(test: Test, constant: number, whenTrue: Target, whenFalse: Target = "next"): void {
    this.#instructions.push({ code: TESTS[test], constant, jumps: [whenTrue, whenFalse] });
  }

  /** A label that no other call has returned. */
  newLabel(): string {
    return `#${this.#made++}`;
  }

  /** The next instruction is where jumps to `label` go. */
  place(label: string): void {
    if (label === "next" || this.#labels.has(label)) throw new Error(`label ${label} is taken`);
    this.#labels.set(label, this.#instructions.length);
  }

  /**
   * The program.
   * @throws when a jump is too far, goes back, or to no instruction: the kernel would refuse the filter as a whole
   */
  bytes(): Uint8Array {
    const count = this.#instructions.length;
    if (count === 0 || count > MAX_INSTRUCTIONS) throw new Error(`a filter of ${count} instructions`);
    if (this.#instructions.at(-1)?.code !== RETURN) throw new Error("the filter does not end with a verdict");
    const bytes = new Uint8Array(count * INSTRUCTION_BYTES);
    const view = new DataView(bytes.buffer);
    this.#instructions.forEach(({ code, constant, jumps }, place) => {
      const at = place * INSTRUCTION_BYTES;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, jumps ? this.#distance(place, jumps[0]) : 0);
      view.setUint8(at + 3, jumps ? this.#distance(place, jumps[1]) : 0);
      view.setUint32(at + 4, constant, true);
    });
    return bytes;
  }

  #distance(place: number, target: Target): number {
    if (target === "next") return 0;
    const to = this.#labels.get(target);
    if (to === undefined) throw new Error(`no label ${target}`);
    const distance = to - place - 1;
    if (distance < 0 || distance > MAX_JUMP || to >= this.#instructions.length) {
      throw new Error(`the jump to ${target} is out of reach`);
    }
    return distance;
  }
}
