import type { SpanContext } from '@opentelemetry/api';
import type { SpanReference } from '../token/claims.ts';

/** A value of an attribute. */
export type SpanAttributeValue = string | number | boolean | readonly string[];

/**
 * Is told of an attribute. INVARIANT: names are words of this program and never of a caller, each told once for a span: their
 * bytes are kept.
 */
export type Tell = (name: string, value: SpanAttributeValue) => void;

/** Why a span is linked to another: `remit.link` of the link. */
export type LinkKind = 'issued_by' | 'previous_use' | 'withdraws' | 'application';

/** A link from one span to another, somewhere else. */
export interface SpanLink {
  readonly to: SpanContext;
  readonly kind: LinkKind;
}

/** A span that is over, and is recorded. All are of kind `SERVER`. */
export interface EndedSpan extends SpanReference {
  readonly name: string;
  /** `null` where it is the first of its trace. */
  readonly parent: SpanContext | null;
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly startMs: number;
  /** Not before `startMs`. */
  readonly endMs: number;
  /** Tells the attributes one by one, so that who makes bytes of them needs no object. */
  readonly attributes: (tell: Tell) => void;
  readonly links: readonly SpanLink[];
  /** Whether it failed by a fault of ours. */
  readonly isError: boolean;
  /** Whether it is of the many that must not push out the rest. */
  readonly isAllowedCheck: boolean;
}

/** What takes spans that are over. */
export interface SpanSink {
  /** Whether an allowed check is recorded; all else is. */
  samplesAllow(traceId: string, parent: SpanContext | null): boolean;
  add(span: EndedSpan): void;
}

/** Nanoseconds since the Unix epoch. */
export function unixNanos(ms: number): bigint {
  const whole = Math.floor(ms);
  return BigInt(whole) * 1_000_000n + BigInt(Math.round((ms - whole) * 1_000_000));
}
