/**
 * Finds the end of a script in a stream of its output (see frame.sh): the bytes 1 and 2, the nonce
 * and the exit status. The two control bytes are not in the frame's arguments, so a script that
 * prints the process list does not end itself.
 */
export interface Split {
  /** What belongs to the script and is passed on. */
  readonly output: Buffer;
  /** Set once the mark was seen: the script's exit status. */
  readonly status?: number;
}

/** What follows the nonce; a script knows the nonce and may write anything there. */
const STATUS = /^(\d{1,3})\n/;
const STATUS_BEGUN = /^\d{0,3}$/;
const STATUS_BYTES = 4;
const MAX_STATUS = 255;

/** Takes a stream's chunks in order; holds back no more than a mark's length. */
export class EndMark {
  readonly #mark: Buffer;
  #held: Buffer = Buffer.alloc(0);

  constructor(nonce: string) {
    this.#mark = Buffer.from(`\u0001\u0002${nonce} `);
  }

  push(chunk: Buffer): Split {
    const data = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    let at = data.indexOf(this.#mark);
    while (at !== -1) {
      const from = at + this.#mark.length;
      const text = data.toString('latin1', from, from + STATUS_BYTES);
      const status = Number(STATUS.exec(text)?.[1] ?? NaN);
      if (status <= MAX_STATUS) return { output: data.subarray(0, at), status };
      if (from + text.length === data.length && STATUS_BEGUN.test(text))
        return this.#pass(data, at);
      at = data.indexOf(this.#mark, from);
    }
    return this.#pass(data, this.#partialMarkAt(data));
  }

  /** What is still held when the stream ends without a mark. */
  rest(): Buffer {
    return this.#held;
  }

  #pass(data: Buffer, upTo: number): Split {
    // A copy: a view would keep all of the chunk.
    this.#held = Buffer.from(data.subarray(upTo));
    return { output: data.subarray(0, upTo) };
  }

  /** Where a mark may have begun that the next chunk completes; the end when nowhere. */
  #partialMarkAt(data: Buffer): number {
    const mark = this.#mark;
    const first = mark.subarray(0, 1);
    let at = data.indexOf(first, Math.max(0, data.length - mark.length + 1));
    while (at !== -1) {
      if (mark.subarray(0, data.length - at).equals(data.subarray(at))) return at;
      at = data.indexOf(first, at + 1);
    }
    return data.length;
  }
}
