import { Transform, type TransformCallback } from 'node:stream';
import { EventCutter } from './event-cutter.ts';
import { parsedOrNull } from './parsed-message.ts';
import { isToolListAnswer, shownMessageText } from './shown-list.ts';
import { listedOrNull, type ListingRules } from './whole-list.ts';

/** A stream of events in which lists of tools may come. */
export interface EventRules extends Omit<ListingRules, 'unreadable'> {
  /** The message in place of an event that cannot be read; `null` if the stream answers no request for a list: then nothing is in its place. */
  readonly unreadable: (() => string) | null;
}

/**
 * An event stream of MCP, with the tools alone that the task may use in each list. Any other event passes as it came. An event that cannot be read
 * and may have a list is not passed on; the start of one longer than `MAX_LIST_BYTES` tells nothing, so it passes if the stream answers no request
 * for a list, and is not passed on otherwise.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export class EventLists extends Transform {
  readonly #rules: EventRules;
  readonly #cutter: EventCutter;

  constructor(rules: EventRules) {
    super();
    this.#rules = rules;
    this.#cutter = new EventCutter({ passesLong: rules.unreadable === null });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    void this.#passed(this.#cutter.cut(chunk), done);
  }

  override _flush(done: TransformCallback): void {
    void this.#passed(this.#cutter.rest(), done);
  }

  async #passed(pieces: ReturnType<EventCutter['cut']>, done: TransformCallback): Promise<void> {
    for (const piece of pieces) {
      if (piece.kind === 'event') this.#push(await this.#shown(piece.bytes));
      else if (piece.kind === 'part') this.push(piece.bytes);
      else this.#push(this.#instead());
    }
    done();
  }

  #push(bytes: Buffer | null): void {
    if (bytes !== null) this.push(bytes);
  }

  async #shown(event: Buffer): Promise<Buffer | null> {
    // Member names may be written with escapes.
    if (!event.includes('tools') && !event.includes(String.raw`\u`)) return event;
    const lines = event.toString().split(LINE_ENDS);
    const data = lines.flatMap((line) => dataOf(line) ?? []).join('\n');
    if (data === '') return event;
    const read = parsedOrNull(data);
    if (read !== null && !isToolListAnswer(read.message)) return event;
    const tools = await listedOrNull(this.#rules);
    if (tools === null) return event;
    const shown = read === null ? null : shownMessageText(read.message, tools);
    if (shown === null) return this.#instead();
    const others = lines.filter((line) => line !== '' && dataOf(line) === null);
    return eventOf([...others, `data: ${shown}`]);
  }

  #instead(): Buffer | null {
    const { unreadable } = this.#rules;
    return unreadable === null ? null : eventOf([`data: ${unreadable()}`]);
  }
}

const LINE_ENDS = /\r\n|\n|\r/;

const eventOf = (lines: readonly string[]): Buffer => Buffer.from(`${lines.join('\n')}\n\n`);

/** The value of a line of data; `null` for any other line. */
function dataOf(line: string): string | null {
  if (line !== 'data' && !line.startsWith('data:')) return null;
  const value = line.slice('data:'.length);
  return value.startsWith(' ') ? value.slice(1) : value;
}
