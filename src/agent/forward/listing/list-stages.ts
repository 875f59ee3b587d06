import { type Duplex, Transform, type TransformCallback } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { DenialStyle } from '../../../core/action/denial-style.ts';
import type { ListedTools } from '../../task/listed-tools.ts';
import { jsonRpcAnswer } from '../json-rpc-answer.ts';
import { unreadableList } from '../local/local-answer.ts';
import { type HeaderLines, valuesOf } from '../passed-headers.ts';
import { EventLists } from './event-lists.ts';
import { isListRequest, mayBeJsonRpc } from './list-request.ts';
import type { HeaderChange } from './shown-header.ts';
import { UnaskedList } from './unasked-list.ts';
import { MAX_LIST_BYTES, WholeList } from './whole-list.ts';

/** An answer, and the request that it answers. */
export interface ListExchange {
  readonly method: string | undefined;
  readonly status: number;
  /** Of the request. */
  readonly requestLines: HeaderLines;
  /** Of the answer. */
  readonly lines: HeaderLines;
  /** The body of the request; `null` if not all of it is known. */
  readonly asked: () => Uint8Array | null;
  /** How the upstream answers denied calls; `null`, or `undefined`: not known. */
  readonly denials: (() => DenialStyle | null) | undefined;
}

/** The stages of an answer. */
export interface ListStages {
  readonly stages: readonly Duplex[];
  /**
   * Set if the bytes decide which headers still hold: calls back once, before the first byte. `null`: if there is a stage, the
   * bytes change (`shown`).
   */
  readonly onDecided: ((decided: (change: HeaderChange) => void) => void) | null;
}

/** How compressed answers are read. @see RFC 9110 section 8.4.1, RFC 8878 */
const decoders: ReadonlyMap<string, () => Duplex> = new Map<string, () => Duplex>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
  ['zstd', createZstdDecompress],
]);

/** Maximum number of encodings that are undone in one answer: each takes memory, and multiplies the bytes of the next. */
const MAX_ENCODINGS = 2;

/**
 * The stages that limit the lists of tools in an answer to those that the task may use. A client takes a list from any successful
 * answer in JSON or events, whatever it asked, and from the stream that it keeps open. So every such answer is inspected, unless
 * its request is known not to be JSON-RPC: such a client reads no JSON-RPC.
 */
export function listStages(exchange: ListExchange, listed: Listed | undefined): ListStages {
  const { method, status } = exchange;
  if (listed === undefined || status < 200 || status > 299) return NO_STAGES;
  if (method === 'GET') return isEventStream(exchange) ? eventStages(exchange, { listed, isAsked: false }) : NO_STAGES;
  return method === 'POST' ? postStages(exchange, listed) : NO_STAGES;
}

const NO_STAGES: ListStages = { stages: [], onDecided: null };

type Listed = () => Promise<ListedTools | null>;

/**
 * Whether a client may read the answer to its GET as events: after asking for events, some do so whatever the type. MCP clients
 * get no other answers to GET; some of those are watches in JSON that never end, which must not be held.
 */
const isEventStream = ({ lines, requestLines }: ListExchange): boolean =>
  [typeOf(lines), valuesOf(requestLines, 'accept').join().toLowerCase()].some((type) => type.includes(EVENTS)) ||
  typeOf(lines) === '';

function postStages(exchange: ListExchange, listed: Listed): ListStages {
  const { asked, lines } = exchange;
  const body = asked();
  const isAsked = body !== null && isListRequest(body);
  if (body !== null && !isAsked && !mayBeJsonRpc(body)) return NO_STAGES;
  const type = typeOf(lines);
  if (type.includes(EVENTS)) return eventStages(exchange, { listed, isAsked });
  if (!isAsked && type !== '' && !type.includes(JSON_TYPE)) return NO_STAGES;
  const unreadable = unreadableTo(exchange);
  const readers = readersOf(lines, { isAsked });
  if (!isAsked) return unaskedStages({ listed, unreadable, readers });
  // Bytes in an unknown encoding are not readable as JSON, so `WholeList` does not pass them on.
  return { stages: [...(readers ?? []), new WholeList({ listed, unreadable })], onDecided: null };
}

function eventStages(
  exchange: ListExchange,
  { listed, isAsked }: { readonly listed: Listed; readonly isAsked: boolean },
): ListStages {
  const readers = readersOf(exchange.lines, { isAsked });
  const message = unreadableTo(exchange);
  const unreadable = (): string => {
    const data = message();
    return data === '' ? '' : `data: ${data}\n\n`;
  };
  if (readers !== null)
    return { stages: [...readers, new EventLists({ listed, isAsked, unreadable })], onDecided: null };
  if (isAsked) return { stages: [new WholeList({ listed, unreadable })], onDecided: null };
  return unaskedStages({ listed, unreadable, readers });
}

interface Unasked {
  readonly listed: Listed;
  readonly unreadable: () => string;
  readonly readers: readonly Duplex[] | null;
}

function unaskedStages({ listed, unreadable, readers }: Unasked): ListStages {
  const list = new UnaskedList({
    listed,
    unreadable,
    isOpaque: readers === null,
    unchanged: readers === null || readers.length === 0 ? 'none' : 'decoded',
  });
  return { stages: [...(readers ?? []), list], onDecided: (decided) => list.onDecided(decided) };
}

const EVENTS = 'text/event-stream';
const JSON_TYPE = 'application/json';

/** The media type of an answer in lower case, with all else of it: some clients look for a type anywhere in the value. */
const typeOf = (lines: HeaderLines): string => valuesOf(lines, 'content-type').join().trim().toLowerCase();

/** The message in place of a list; empty if the request is not known, or gets no answer. */
const unreadableTo =
  ({ asked, denials }: ListExchange) =>
  (): string => {
    const body = asked();
    return body === null ? '' : (jsonRpcAnswer(unreadableList, body, denials?.() ?? undefined)?.body ?? '');
  };

/** The stages that undo the encodings of an answer; `null` if that is not possible. */
function readersOf(lines: HeaderLines, { isAsked }: { readonly isAsked: boolean }): readonly Duplex[] | null {
  const undoing = encodingsOf(lines).map((encoding) => decoders.get(encoding));
  const known = undoing.filter((decoder) => decoder !== undefined);
  if (known.length < undoing.length || known.length > MAX_ENCODINGS) return null;
  // The last decoder needs no bound unless the whole answer is held after it: the client bounds what it reads.
  const stages: Duplex[] = [];
  for (const [at, decoder] of known.entries()) {
    stages.push(decoder());
    if (isAsked || at < known.length - 1) stages.push(bound());
  }
  return stages;
}

/** The encodings of an answer, the last first, in lower case. */
const encodingsOf = (lines: HeaderLines): readonly string[] =>
  valuesOf(lines, 'content-encoding')
    .flatMap((value) => value.toLowerCase().split(','))
    .map((encoding) => encoding.trim())
    .filter((encoding) => encoding !== '' && encoding !== 'identity')
    .toReversed();

/** Maximum bytes of a compressed answer once decoded: a few bytes may become very many. */
const MAX_DECODED_BYTES = 16 * MAX_LIST_BYTES;

function bound(): Duplex {
  let left = MAX_DECODED_BYTES;
  const counted = (chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void => {
    left -= chunk.length;
    if (left < 0) done(new Error(`the answer is longer than ${MAX_DECODED_BYTES} bytes`));
    else done(null, chunk);
  };
  return new Transform({ transform: counted });
}
