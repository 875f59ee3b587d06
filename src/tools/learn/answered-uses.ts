import { recordsIn } from './record-window.ts';
import type { Reading, ReadRecord, RecordSource, Span } from './record-window.ts';

/**
 * What became of a call: `answered` by its upstream, `failed` there (an error, or no answer), `withdrawn` by Remit before it was answered;
 * `unknown` if no record says so.
 */
export type CallFate = 'answered' | 'failed' | 'withdrawn' | 'unknown';

/** A record of a use, and what became of the call. */
export interface AnsweredUse {
  readonly record: ReadRecord;
  readonly fate: CallFate;
}

/** Most uses that wait for their outcome, which Envoy reports after the call. */
const MAX_WAITING = 2_048;

/**
 * The uses of a span, log by log, each with its fate. An outcome is joined if it comes within 2,048 uses: the log of the process that decided has
 * both. Nothing more is kept.
 */
export function* answeredUsesIn(
  sources: readonly RecordSource[],
  span: Span,
  reading: Reading,
): Generator<AnsweredUse> {
  for (const source of sources) {
    const waiting = new Map<string, ReadRecord>();
    for (const record of recordsIn([source], span, reading)) yield* joined(waiting, record);
    for (const record of waiting.values()) yield { record, fate: 'unknown' };
  }
}

function* joined(waiting: Map<string, ReadRecord>, record: ReadRecord): Generator<AnsweredUse> {
  const { kind, decision, decisionId, withdraws } = record;
  if (kind === 'outcome') {
    const fate = isFailure(record) ? 'failed' : 'answered';
    yield* taken(waiting, decisionId, fate);
  }
  if (kind !== 'use') return;
  yield* taken(waiting, withdraws, 'withdrawn');
  if (decision !== 'allow' || typeof decisionId !== 'string' || waiting.has(decisionId)) {
    yield { record, fate: 'unknown' };
    return;
  }
  waiting.set(decisionId, record);
  const [oldest] = waiting.size > MAX_WAITING ? waiting.keys() : [];
  yield* taken(waiting, oldest, 'unknown');
}

function* taken(waiting: Map<string, ReadRecord>, id: unknown, fate: CallFate): Generator<AnsweredUse> {
  const record = typeof id === 'string' ? waiting.get(id) : undefined;
  if (record === undefined || typeof id !== 'string') return;
  waiting.delete(id);
  yield { record, fate };
}

/** The upstream refused it, did not know it, failed, or did not answer. A call that never works is no habit. */
const isFailure = ({ status }: ReadRecord): boolean => typeof status !== 'number' || status >= 400;
