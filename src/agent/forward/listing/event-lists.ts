import { Transform, type TransformCallback } from 'node:stream';
import { EventCutter, type EventPiece } from './event-cutter.ts';
import { parsedOrNull } from './parsed-message.ts';
import { isToolListAnswer, shownMessageText } from './shown-list.ts';
import { hasToolsMark, ToolsMark } from './tools-mark.ts';
import { listedOrNull, type ListingRules } from './whole-list.ts';

/** A stream of events in which lists of tools may come. */
export interface EventRules extends ListingRules {
  /** Whether the stream answers a request for a list. */
  readonly isAsked: boolean;
  /** The event sent instead of an unreadable event, with its blank line; empty: the event is dropped. */
  readonly unreadable: () => string;
}

/** What becomes of the rest of an event that is too long to be held. */
type LongEvent = { readonly kind: 'passed' | 'dropped' } | { readonly kind: 'watched'; readonly mark: ToolsMark };

/**
 * An MCP event stream in which each list shows only the tools that the task may use. Any other event passes as it came. An
 * unreadable event that may have a list is not passed on. An event longer than `MAX_LIST_BYTES` passes if nothing asked for a
 * list and its start does not name `tools`; if a later part does, the stream ends with an error before that part.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export class EventLists extends Transform {
  readonly #rules: EventRules;
  readonly #cutter = new EventCutter();
  #isFirst = true;
  #long: LongEvent = { kind: 'passed' };

  constructor(rules: EventRules) {
    super();
    this.#rules = rules;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    void this.#pass(this.#cutter.cut(chunk), done);
  }

  override _flush(done: TransformCallback): void {
    void this.#pass(this.#cutter.rest(), done);
  }

  async #pass(pieces: readonly EventPiece[], done: TransformCallback): Promise<void> {
    for (const { kind, bytes: cut } of pieces) {
      const bytes = this.#isFirst ? withoutByteOrderMark(cut) : cut;
      this.#isFirst = false;
      if (kind === 'event') this.#push(await this.#shown(bytes));
      else if (kind === 'start') this.#push(await this.#startOfLong(bytes));
      else if (this.#long.kind === 'watched' && this.#long.mark.sees(bytes))
        return done(new Error('an event that is too long to be read may have a list of tools'));
      else if (this.#long.kind !== 'dropped') this.push(bytes);
    }
    done();
  }

  #push(bytes: Buffer): void {
    if (bytes.length > 0) this.push(bytes);
  }

  /** The event that the client gets; empty for none. */
  async #shown(event: Buffer): Promise<Buffer> {
    this.#long = { kind: 'passed' };
    if (!hasToolsMark(event)) return event;
    const tools = await listedOrNull(this.#rules);
    if (tools === null) return event;
    const text = event.toString();
    const lines = text.split(LINE_ENDS);
    const data = lines.flatMap((line) => dataOf(line) ?? []);
    // An event without data, which a lenient client may yet read: it is dropped.
    if (data.length === 0) return NOTHING;
    const read = parsedOrNull(data.join('\n'));
    if (read === null) return this.#instead();
    const others = lines.filter((line) => dataOf(line) === null);
    const isPlain = !OTHER_LINE_ENDS.test(text) && !others.some((line) => hasToolsMark(Buffer.from(line)));
    if (isPlain && !isToolListAnswer(read.message) && read.isExact()) return event;
    const shown = shownMessageText(read.message, tools);
    return shown === null ? this.#instead() : eventOf([...others.filter(isKept), `data: ${withEscapes(shown)}`]);
  }

  async #startOfLong(start: Buffer): Promise<Buffer> {
    const mark = new ToolsMark();
    const isSeen = mark.sees(start);
    const tools = await listedOrNull(this.#rules);
    const isDropped = tools !== null && (isSeen || this.#rules.isAsked);
    this.#long = isDropped ? { kind: 'dropped' } : tools === null ? { kind: 'passed' } : { kind: 'watched', mark };
    return isDropped ? this.#instead() : start;
  }

  #instead(): Buffer {
    return Buffer.from(this.#rules.unreadable());
  }
}

const NOTHING = Buffer.alloc(0);

const LINE_ENDS = /\r\n|\n|\r/;

/** Characters that end a line for some clients, though not in the standard, and a mark that some ignore before a chunk. */
// oxlint-disable-next-line no-control-regex -- matches control characters on purpose
const OTHER_LINE_ENDS = /[\v\f\u001C-\u001E\u0085\u2028\u2029\uFEFF]/;

/** JSON with those of these characters escaped that JSON may hold unescaped. */
const withEscapes = (json: string): string =>
  json.replaceAll(
    /[\u0085\u2028\u2029\uFEFF]/g,
    (character) => String.raw`\u` + character.charCodeAt(0).toString(16).padStart(4, '0'),
  );

const BYTE_ORDER_MARK = Buffer.from('\uFEFF');

/** A client ignores the mark at the start of a stream. */
const withoutByteOrderMark = (bytes: Buffer): Buffer =>
  bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes;

const eventOf = (lines: readonly string[]): Buffer => Buffer.from(`${lines.join('\n')}\n\n`);

/** Whether a line of an event is kept beside other data. */
const isKept = (line: string): boolean => /^(?:event|id|retry)(?::[\u0020-\u007E]*)?$/.test(line);

/** The value of a line of data; `null` for any other line. */
function dataOf(line: string): string | null {
  if (line !== 'data' && !line.startsWith('data:')) return null;
  const value = line.slice('data:'.length);
  return value.startsWith(' ') ? value.slice(1) : value;
}
