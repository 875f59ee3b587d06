import type { SpanContext } from '@opentelemetry/api';
import type { SpanReference } from '../../token/claims.ts';

/** The value of an attribute. */
export type SpanAttributeValue = string | number | boolean | readonly string[];

/**
 * Receives an attribute. INVARIANT: names are constants of this program or end in the name of an argument of the catalog, are never chosen by a
 * caller, and are unique within a span: the encoded bytes of a bounded number of them are cached.
 */
export type Tell = (name: string, value: SpanAttributeValue) => void;

/** The kind of a span link: its `remit.link` attribute. */
export type LinkKind = 'issued_by' | 'previous_use' | 'withdraws' | 'application';

/** A link from one span to another trace or span. */
export interface SpanLink {
  readonly to: SpanContext;
  readonly kind: LinkKind;
}

/** An ended span that is recorded. All have kind `SERVER`. */
export interface EndedSpan extends SpanReference {
  readonly name: string;
  /** `null` for the first span of its trace. */
  readonly parent: SpanContext | null;
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly startMs: number;
  /** Never before `startMs`. */
  readonly endMs: number;
  /** Emits each attribute by a call, so that a serialiser needs no objects. */
  readonly attributes: (tell: Tell) => void;
  readonly links: readonly SpanLink[];
  /** Whether it failed by a fault of Remit. */
  readonly isError: boolean;
  /** Whether it is an allowed check, which must not evict other spans. */
  readonly isAllowedCheck: boolean;
}

/** Receives ended spans. */
export interface SpanSink {
  /** Whether to record an allowed check; all other spans are recorded. */
  samplesAllow(traceId: string, parent: SpanContext | null): boolean;
  add(span: EndedSpan): void;
}
