import { recordsIn } from './record-window.ts';
import type { Reading, ReadRecord, RecordSource, Span } from './record-window.ts';

/**
 * What became of a call: `answered` by its upstream, `failed` there (an error, or no answer), `withdrawn` by Remit before it was answered;
 * `unknown` if no record says so.
 */
export type CallFate = 'answered' | 'failed' | 'withdrawn' | 'unknown';

/** What is kept of a record of a use, and what became of the call. */
export interface AnsweredUse<Kept> {
  readonly use: Kept;
  readonly fate: CallFate;
}

/** Most uses that wait for their outcome, which Envoy reports after the call. */
const MAX_WAITING = 2_048;

/**
 * The uses of a span, log by log, each with its fate. An outcome is joined if it comes within 2,048 uses: the log of the process that decided has
 * both. Nothing more is kept, and of each use only what `keep` makes of its record.
 */
export function* answeredUsesIn<Kept>(
  sources: readonly RecordSource[],
  span: Span,
  { keep, ...reading }: Reading & { readonly keep: (record: ReadRecord) => Kept },
): Generator<AnsweredUse<Kept>> {
  for (const source of sources) {
    const waiting = new Map<string, AnsweredUse<Kept>>();
    for (const record of recordsIn([source], span, reading)) yield* joined(waiting, record, keep);
    yield* waiting.values();
  }
}

function* joined<Kept>(
  waiting: Map<string, AnsweredUse<Kept>>,
  record: ReadRecord,
  keep: (record: ReadRecord) => Kept,
): Generator<AnsweredUse<Kept>> {
  const { kind, decision, decisionId, withdraws } = record;
  if (kind === 'outcome') {
    const fate = isFailure(record) ? 'failed' : 'answered';
    yield* taken(waiting, decisionId, fate);
  }
  if (kind !== 'use') return;
  yield* taken(waiting, withdraws, 'withdrawn');
  const answered: AnsweredUse<Kept> = { use: keep(record), fate: 'unknown' };
  if (decision !== 'allow' || typeof decisionId !== 'string' || waiting.has(decisionId)) {
    yield answered;
    return;
  }
  waiting.set(decisionId, answered);
  const [oldest] = waiting.size > MAX_WAITING ? waiting.keys() : [];
  yield* taken(waiting, oldest, 'unknown');
}

function* taken<Kept>(
  waiting: Map<string, AnsweredUse<Kept>>,
  id: unknown,
  fate: CallFate,
): Generator<AnsweredUse<Kept>> {
  const found = typeof id === 'string' ? waiting.get(id) : undefined;
  if (found === undefined || typeof id !== 'string') return;
  waiting.delete(id);
  yield { use: found.use, fate };
}

/** The upstream refused it, did not know it, failed, or did not answer. A call that never works is no habit. */
const isFailure = ({ status }: ReadRecord): boolean => typeof status !== 'number' || status >= 400;
