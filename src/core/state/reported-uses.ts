/** What a process last reported of the uses of a token. */
import { MAX_REMEMBERED_USES } from '../token/reuse.ts';
import type { AllowedUses } from '../token/reuse.ts';
import type { UsesSoFar } from '../token/uses.ts';

/** The uses of a token that a process reports. */
export interface UsesOfToken extends UsesSoFar {
  readonly jtiDigest: string;
}

/** A process that reports uses of tokens. */
export interface Reporter {
  /** Its name, different for each process. */
  readonly name: string;
  /** The audiences it may serve; `null` for all. */
  readonly audiences: readonly string[] | null;
}

/** What a process reported last of the uses of a token, as stored. */
export interface ReportedUses extends UsesOfToken {
  /** When its first report with an allowed use came. Milliseconds since the Unix epoch by the clock of the authority. */
  readonly firstMs: number;
  /** When its last report came, in the same unit. */
  readonly lastMs: number;
}

/** Most reporters that are stored of each token: the first, and the latest of the rest. */
export const MAX_REPORTERS = 8;

/** The uses of a token over all processes that reported some. */
export interface UsesElsewhere extends UsesSoFar {
  readonly reporters: number;
  readonly firstMs: number;
}

/**
 * What all reports of a token say together: the highest number, the span of the latest report, and where it was used. INVARIANT: the node
 * is that of the first reporter with an allowed use, as on a single host, so that a later report does not make another node look familiar.
 *
 * @param reports those with allowed uses first, in the order of the first of them
 * @returns `null` if there are none
 */
export function usesElsewhere(reports: readonly ReportedUses[]): UsesElsewhere | null {
  const [first] = reports;
  if (first === undefined) return null;
  const byAge = reports.toSorted((one, other) => one.lastMs - other.lastMs);
  return {
    reporters: reports.length,
    firstMs: first.firstMs,
    uses: Math.max(...reports.map(({ uses }) => uses)),
    last: byAge.findLast(({ last }) => last !== null)?.last ?? null,
    allowed: togetherIn(
      reports.flatMap(({ allowed }) => allowed ?? []),
      byAge.flatMap(({ allowed }) => allowed ?? []),
    ),
  };
}

function togetherIn([first]: readonly AllowedUses[], byAge: readonly AllowedUses[]): AllowedUses | null {
  if (first === undefined) return null;
  const latest = <T>(listOf: (one: AllowedUses) => readonly T[]): readonly T[] =>
    [...new Set(byAge.flatMap(listOf).toReversed())].slice(0, MAX_REMEMBERED_USES).toReversed();
  const { address, certificate } = first.places;
  return {
    traces: latest(({ traces }) => traces),
    places: {
      address,
      certificate,
      // A connection is to a single proxy.
      connections: [],
      servers: latest(({ places }) => places.servers),
      risks: latest(({ places }) => places.risks),
    },
  };
}

/** Everything of a report that is stored as text. */
export const textsOfUses = ({ jtiDigest, allowed }: UsesOfToken): readonly string[] => [
  jtiDigest,
  ...(allowed === null ? [] : [...allowed.places.servers, ...allowed.places.risks]),
];

/** The stored text of allowed uses. */
export function allowedText(allowed: AllowedUses | null): string | null {
  if (allowed === null) return null;
  const { address, certificate, servers, risks } = allowed.places;
  return JSON.stringify({ address, certificate, servers, risks, traces: allowed.traces });
}

/** The allowed uses of a text that `allowedText` made. INVARIANT: by any other text no use looks like a first use, or like one before. */
export function allowedFrom(text: string | null): AllowedUses | null {
  if (text === null) return null;
  try {
    const { traces, address, certificate, servers, risks }: AllowedMembers = JSON.parse(text) ?? {};
    const isWritten =
      [address, certificate].every(isTextOrNull) && [servers, risks].every(isTexts) && isNumbers(traces);
    // Each member was looked at.
    const places = { address, certificate, connections: [], servers, risks };
    return isWritten ? ({ traces, places } as AllowedUses) : UNREADABLE;
  } catch {
    return UNREADABLE;
  }
}

type AllowedMembers = Partial<Readonly<Record<'traces' | 'address' | 'certificate' | 'servers' | 'risks', unknown>>>;

const UNREADABLE: AllowedUses = {
  traces: [],
  places: { address: '', certificate: '', connections: [], servers: [], risks: [] },
};

const isTextOrNull = (value: unknown): boolean => value === null || typeof value === 'string';
const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.every((text: unknown) => typeof text === 'string');

const isNumbers = (value: unknown): boolean => Array.isArray(value) && value.every(Number.isSafeInteger);

/** Reads a row of the table of either store. */
export function reportedUsesIn(row: Readonly<Record<string, unknown>>): ReportedUses {
  const { trace_id: traceId, span_id: spanId, allowed } = row;
  return {
    jtiDigest: String(row['jti_digest']),
    firstMs: Number(row['first_ms']),
    lastMs: Number(row['last_ms']),
    uses: Number(row['uses']),
    last: typeof traceId === 'string' && typeof spanId === 'string' ? { traceId, spanId } : null,
    allowed: allowedFrom(typeof allowed === 'string' ? allowed : null),
  };
}
