import { BoundedMemo } from '../runtime/bounded-memo.ts';

/**
 * What a use of a token can be, the most telling first. `after-end` and `other-identity` come from the decision; the rest
 * from the uses that were allowed before.
 */
export const REUSE_CLASSES = [
  /** Presented by a workload it was not issued to. */
  'other-identity',
  /** Its task has ended, or it was revoked. */
  'after-end',
  /** From another node than its first allowed use: another address, or another certificate. */
  'other-node',
  /** For an action of a risk that it was not used for before. */
  'other-class',
  /** At a server that it was not used at before. */
  'other-server',
  /** In a trace that it was not used in before, or in none. */
  'other-trace',
  /** Over a connection that it was not used over before. */
  'other-connection',
  'same-trace',
  /** No use of it was allowed before. */
  'first',
] as const;

/** One class of a use. */
export type ReuseClass = (typeof REUSE_CLASSES)[number];

/** Where and for what a token is used. What is not known is `null`, which differs from everything that is. */
export interface Circumstances {
  /** Trace of the call. The caller chooses it: the same trace proves nothing. */
  readonly traceId: string | null;
  /** Address and port of the other end; `null` where another stands between it and the proxy. */
  readonly connection: string | null;
  /** Address of the other end, under the same condition. */
  readonly address: string | null;
  /** Digest of the certificate of the caller. */
  readonly certificate: string | null;
  readonly server: string | null;
  readonly risk: string | null;
}

/** What is remembered of the allowed uses of a token. */
export interface AllowedUses {
  /** Marks of the latest few: where each call is a trace of its own, a hundred thousand tokens have eight each. */
  readonly traces: readonly number[];
  readonly places: Places;
}

/** Where and for what a token was used: of the node the first, of the rest the latest few. Tokens with the same share one. */
export interface Places extends Pick<Circumstances, 'address' | 'certificate'> {
  readonly connections: readonly string[];
  readonly servers: readonly string[];
  readonly risks: readonly string[];
}

/** Values remembered of each kind. The one remembered longest goes first: its return then counts as another, never as the same. */
export const MAX_REMEMBERED_USES = 8;

/**
 * The classes of a use, as far as they are known before it is decided; never empty.
 *
 * @param before `null` where no use was allowed
 */
export function reuseClasses(before: AllowedUses | null, now: Circumstances): readonly ReuseClass[] {
  if (before === null) return ['first'];
  const { places } = before;
  const classes: ReuseClass[] = [];
  if (places.address !== now.address || places.certificate !== now.certificate) classes.push('other-node');
  if (isOther(places.risks, now.risk)) classes.push('other-class');
  if (isOther(places.servers, now.server)) classes.push('other-server');
  const isSameTrace = now.traceId !== null && before.traces.includes(markOf(now.traceId));
  if (!isSameTrace) classes.push('other-trace');
  if (isOther(places.connections, now.connection)) classes.push('other-connection');
  if (isSameTrace) classes.push('same-trace');
  return classes;
}

const isOther = (known: readonly string[], value: string | null): boolean => value !== null && !known.includes(value);

/**
 * What is remembered once a use was allowed. INVARIANT: the node stays that of the first, so that no harmless use from
 * elsewhere makes elsewhere familiar.
 */
export function rememberedWith(before: AllowedUses | null, now: Circumstances): AllowedUses {
  return {
    traces: listWith(before?.traces ?? [], now.traceId === null ? null : markOf(now.traceId)),
    places: before === null ? firstPlaces(now) : placesWith(before.places, now),
  };
}

/** Most tokens are used from one place alone, over a connection that others are used over too. */
const shared = new BoundedMemo<Places>();

function firstPlaces({ address, certificate, connection, server, risk }: Circumstances): Places {
  const texts = [address, certificate, connection, server, risk];
  return shared.of(JSON.stringify(texts), () => ({
    address,
    certificate,
    connections: listWith([], connection),
    servers: listWith([], server),
    risks: listWith([], risk),
  }));
}

function placesWith(before: Places, now: Circumstances): Places {
  const connections = listWith(before.connections, now.connection);
  const servers = listWith(before.servers, now.server);
  const risks = listWith(before.risks, now.risk);
  const isKnown = connections === before.connections && servers === before.servers && risks === before.risks;
  return isKnown ? before : { address: before.address, certificate: before.certificate, connections, servers, risks };
}

/** The last 30 bits of a trace id, which are random: one pair in a thousand million is taken for the same trace. */
const markOf = (traceId: string): number => Number.parseInt(traceId.slice(-8), 16) & 0x3fff_ffff;

/** `concat` and not a spread, which leaves room for more elements than there will be. */
const listWith = <T extends string | number>(list: readonly T[], value: T | null): readonly T[] =>
  value === null || list.includes(value) ? list : list.slice(1 - MAX_REMEMBERED_USES).concat(value);

/** The most telling of the classes of one use, for a label that takes one; `null` of none. */
export const tellingClass = (classes: readonly ReuseClass[]): ReuseClass | null =>
  REUSE_CLASSES.find((name) => classes.includes(name)) ?? null;
