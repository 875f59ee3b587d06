import type { UseRecord } from '../../core/ledger/record.ts';
import type { ReasonCode } from '../../core/decision/reasons.ts';
import { dayOf } from '../../core/runtime/day.ts';
import { ownText, textBytes } from '../learn/seen/room.ts';
import type { Room } from '../learn/seen/room.ts';
import { seenAgain } from '../learn/sightings.ts';
import type { Sightings } from '../learn/sightings.ts';

/** A call that would be denied, as an example. */
export interface DeniedExample {
  readonly decisionId: string;
  readonly atMs: number;
  /** The action, or the call if the catalog does not know it. */
  readonly what: string;
  readonly detail: string | null;
}

/** Would-be denials of one reason. */
export interface WouldBeDenials {
  readonly reason: ReasonCode;
  readonly seen: Sightings;
  /** Of them those that are decided: a forbid denies them, or the caller says that they are meant. */
  readonly decided: number;
  /** Those since `recentFromMs` that are not decided. */
  readonly recent: number;
  /** The last calls, newest first; of those that are not decided, if there are any. */
  readonly examples: readonly DeniedExample[];
}

/** Which would-be denials count as recent, and which as decided. */
export interface DenialRule {
  /** Denials before this instant do not keep an agent from being ready; milliseconds since the Unix epoch. */
  readonly recentFromMs: number;
  /** Reasons, and actions or calls as they are listed, whose denials are meant. */
  readonly decided: ReadonlySet<string>;
}

/** Most days that are kept: an entry ends after 90 days, but may be extended. */
const MAX_DAYS = 400;
/** Days that an agent may have without taking from the shared `Room`. */
const FREE_DAYS = 31;
const MAX_EXAMPLES = 3;
/** Longest text of an example. */
const MAX_SHOWN = 512;
/** Bytes that a day takes, and a reason without examples. */
const DAY_BYTES = 90;
const REASON_BYTES = 400;

interface Counted {
  seen: Sightings;
  decided: number;
  recent: number;
  open: readonly DeniedExample[];
  meant: readonly DeniedExample[];
}

/** What the records of one observed agent show under one entry. Bounded: of each reason it keeps counts, and three examples if there is room. */
export class ObservedAgent {
  /** Id of the entry. */
  readonly entry: string;
  /** SPIFFE ID; `null` for calls without an identity. */
  readonly agent: string | null;
  readonly #rule: DenialRule;
  #seen: Sightings | undefined = undefined;
  readonly #days = new Map<string, number>();
  readonly #would = new Map<ReasonCode, Counted>();
  /** Calls that were denied although they are observed, by reason. */
  readonly denied = new Map<ReasonCode, number>();
  /** Set if calls could not be distinguished, or not counted by day, because there was no room. */
  isCut = false;
  readonly #takes: (bytes: number) => boolean;

  constructor(entry: string, agent: string | null, { rule, room }: { readonly rule: DenialRule; readonly room: Room }) {
    const key = `${entry}\0${agent ?? ''}`;
    this.#takes = (bytes) => room.take(key, bytes);
    this.entry = entry;
    this.agent = agent;
    this.#rule = rule;
  }

  /** Adds a use of this agent. */
  add(use: UseRecord): void {
    this.#seen = seenAgain(this.#seen, use.at);
    const day = dayOf(use.at);
    if (this.#days.has(day) || this.#hasRoomForDay()) this.#days.set(day, (this.#days.get(day) ?? 0) + 1);
    else this.isCut = true;
    if (use.decision === 'deny' && use.reason !== null)
      this.denied.set(use.reason, (this.denied.get(use.reason) ?? 0) + 1);
    else if (use.would?.decision === 'deny' && use.would.reason !== null) this.#addDenial(use, use.would.reason);
  }

  #hasRoomForDay(): boolean {
    return this.#days.size < FREE_DAYS || (this.#days.size < MAX_DAYS && this.#takes(DAY_BYTES));
  }

  /** All its calls. */
  get seen(): Sightings {
    return this.#seen ?? { count: 0, firstMs: 0, lastMs: 0 };
  }

  /** Number of calls by day (UTC). */
  get days(): ReadonlyMap<string, number> {
    return this.#days;
  }

  /** What would be denied, by reason, most often first. */
  get would(): readonly WouldBeDenials[] {
    return [...this.#would]
      .map(([reason, { seen, decided, recent, open, meant }]) => ({
        reason,
        seen,
        decided,
        recent,
        examples: open.length > 0 ? open : meant,
      }))
      .toSorted((one, other) => other.seen.count - one.seen.count);
  }

  #addDenial(use: UseRecord, reason: ReasonCode): void {
    const what = callText(use);
    const { decided, recentFromMs } = this.#rule;
    const isDecided =
      (reason === 'policy.forbidden' && (use.would?.policyIds.length ?? 0) > 0) ||
      decided.has(reason) ||
      decided.has(what);
    const known = this.#would.get(reason);
    const counted = known ?? { seen: seenAgain(undefined, use.at), decided: 0, recent: 0, open: [], meant: [] };
    if (known !== undefined) known.seen = seenAgain(known.seen, use.at);
    if (isDecided) {
      counted.decided += 1;
      counted.meant = this.#latest(counted.meant, use);
    } else {
      if (use.at >= recentFromMs) counted.recent += 1;
      counted.open = this.#latest(counted.open, use);
    }
    this.#would.set(reason, counted);
  }

  /** The examples with a use, if it is among the latest and there is room. */
  #latest(examples: readonly DeniedExample[], use: UseRecord): readonly DeniedExample[] {
    const isFull = examples.length >= MAX_EXAMPLES;
    if (isFull && examples.every(({ atMs }) => atMs > use.at)) return examples;
    if (!isFull && !this.#takes(REASON_BYTES + textBytes(use.decisionId) + 2 * MAX_SHOWN)) return examples;
    const detail = use.would?.detail ?? null;
    const example = {
      decisionId: ownText(use.decisionId.slice(0, MAX_SHOWN)),
      atMs: use.at,
      what: ownText(callText(use).slice(0, MAX_SHOWN)),
      detail: detail === null ? null : ownText(detail.slice(0, MAX_SHOWN)),
    };
    return [...examples, example].toSorted((a, b) => b.atMs - a.atMs).slice(0, MAX_EXAMPLES);
  }
}

/** A call in words: its action, or what it was. */
export const callText = ({ action, method, host, path }: UseRecord): string =>
  action ?? (host === '' ? 'a request that could not be read' : `${method} ${host}${path}`);
