import type { JsonValue } from './canonical-json.ts';

/** What a record can be found by in its storage: nothing that its bytes do not say. */
export interface Listing {
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly kind: string;
  readonly task: string | null;
  readonly agent: string | null;
  readonly action: string | null;
  readonly decision: string | null;
  readonly decisionId: string | null;
  readonly traceId: string | null;
}

/** What a record must be listed under. @param record its members, of whichever version */
export function listingOf(record: { readonly [name: string]: JsonValue }): Listing {
  const text = (name: string): string | null => {
    const value = record[name];
    return typeof value === 'string' ? value : null;
  };
  return {
    at: Number(record['at']),
    kind: text('kind') ?? '',
    task: text('task'),
    agent: text('agent'),
    action: text('action'),
    decision: text('decision'),
    decisionId: text('decisionId'),
    traceId: text('traceId'),
  };
}

const names = ['at', 'kind', 'task', 'agent', 'action', 'decision', 'decisionId', 'traceId'] as const;

/** Under which name a record is listed as what it is not, and so could be hidden from who looks for it; `null` where it is not. */
export function listingProblem(record: { readonly [name: string]: JsonValue }, listed: Listing): string | null {
  const own = listingOf(record);
  const wrong = names.find((name) => own[name] !== listed[name]);
  return wrong === undefined ? null : `is listed under another \`${wrong}\` than its own`;
}
