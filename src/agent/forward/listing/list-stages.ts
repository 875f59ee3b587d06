import { type Duplex, Transform, type TransformCallback } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { ListedTools } from '../../task/listed-tools.ts';
import { jsonRpcAnswer } from '../json-rpc-answer.ts';
import { unreadableList } from '../local/local-answer.ts';
import { type HeaderLines, valuesOf } from '../passed-headers.ts';
import { EventLists } from './event-lists.ts';
import { isListRequest } from './list-request.ts';
import { MAX_LIST_BYTES, WholeList } from './whole-list.ts';

/** An answer, and the request that it answers. */
export interface ListExchange {
  readonly method: string | undefined;
  readonly status: number;
  /** Of the answer. */
  readonly lines: HeaderLines;
  /** The body of the request; `null` if not all of it is known. */
  readonly asked: () => Uint8Array | null;
}

/** How compressed answers are read. @see RFC 9110 section 8.4.1, RFC 8878 */
const decoders: ReadonlyMap<string, () => Duplex> = new Map<string, () => Duplex>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
  ['zstd', createZstdDecompress],
]);

/**
 * The stages through which an answer passes so that lists of tools show those alone that the task may use: of a request for a list, and of the stream
 * that a client keeps open (older revisions answer there, and all repeat there what a client has missed). Empty if no list can be in the answer.
 */
export function listStages(
  { method, status, lines, asked: bodyOf }: ListExchange,
  listed: (() => Promise<ListedTools | null>) | undefined,
): readonly Duplex[] {
  if (listed === undefined || status !== 200) return [];
  const [type = ''] = valuesOf(lines, 'content-type');
  const isEvents = /^text\/event-stream\b/i.test(type);
  if (method === 'GET')
    return isEvents && encodingsOf(lines).length === 0 ? [new EventLists({ listed, unreadable: null })] : [];
  const asked = method === 'POST' ? bodyOf() : null;
  if (asked === null || !isListRequest(asked)) return [];
  const unreadable = (): string => jsonRpcAnswer(unreadableList, asked)?.body ?? '';
  const encodings = encodingsOf(lines);
  const undoing = encodings.map((encoding) => decoders.get(encoding));
  const isRead = undoing.every((decoder) => decoder !== undefined);
  if (isEvents && isRead)
    return [...undoing.map((decoder) => decoder()), ...boundOf(encodings), new EventLists({ listed, unreadable })];
  // Bytes of an encoding that is not known are no JSON, and are not passed on.
  const inForm = isEvents ? (): string => `data: ${unreadable()}\n\n` : unreadable;
  const readers = isRead ? undoing.map((decoder) => decoder()) : [];
  return [...readers, ...boundOf(encodings), new WholeList({ listed, unreadable: inForm })];
}

/** The encodings of an answer, the last first, in lower case. */
const encodingsOf = (lines: HeaderLines): readonly string[] =>
  valuesOf(lines, 'content-encoding')
    .flatMap((value) => value.toLowerCase().split(','))
    .map((encoding) => encoding.trim())
    .filter((encoding) => encoding !== '' && encoding !== 'identity')
    .toReversed();

/** Most bytes of an answer that was compressed: few bytes may become very many. */
const MAX_DECODED_BYTES = 16 * MAX_LIST_BYTES;

function boundOf(encodings: readonly string[]): readonly Duplex[] {
  if (encodings.length === 0) return [];
  let left = MAX_DECODED_BYTES;
  const counted = (chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void => {
    left -= chunk.length;
    if (left < 0) done(new Error(`the answer is longer than ${MAX_DECODED_BYTES} bytes`));
    else done(null, chunk);
  };
  return [new Transform({ transform: counted })];
}

/** Headers about the bytes of an answer, which are other bytes once it has passed the stages. */
const ABOUT_BYTES: ReadonlySet<string> = new Set([
  'content-length',
  'content-encoding',
  'content-md5',
  'content-digest',
  'repr-digest',
  'digest',
  'etag',
  'accept-ranges',
]);

/** The header lines of an answer that has passed the stages. */
export const linesOfShown = (lines: readonly string[]): string[] =>
  lines.filter((_, at) => !ABOUT_BYTES.has((lines[at - (at % 2)] ?? '').toLowerCase()));
