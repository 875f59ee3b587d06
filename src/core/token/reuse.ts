import { BoundedMemo } from '../runtime/collections/bounded-memo.ts';

/**
 * The classes of a token use, most significant first. The first three follow from the decision, the rest from earlier allowed uses.
 */
export const REUSE_CLASSES = [
  /** Presented by a workload the token was not issued to. */
  'other-identity',
  /** Its task has ended, or the token was revoked. */
  'after-end',
  /** By its own workload with another certificate than it is bound to: no attack, see `withOtherCertificate`. */
  'other-certificate',
  /** From another node than its first allowed use: another address or certificate. */
  'other-node',
  /** For an action with a risk class it was not used for before. */
  'other-class',
  /** At a server it was not used at before. */
  'other-server',
  /** In another trace than before, or in none. */
  'other-trace',
  /** Over a new connection. */
  'other-connection',
  'same-trace',
  /** No use of it was allowed before. */
  'first',
] as const;

/** A class of a use. */
export type ReuseClass = (typeof REUSE_CLASSES)[number];

/** The place and purpose of a use of a token. An unknown value is `null`, which differs from every known value. */
export interface Circumstances {
  /** Trace of the call. The caller chooses it, so an equal trace proves nothing. */
  readonly traceId: string | null;
  /** Peer address and port; `null` if there is a hop between the caller and the proxy. */
  readonly connection: string | null;
  /** Peer address, under the same condition. */
  readonly address: string | null;
  /** Digest of the caller's certificate. */
  readonly certificate: string | null;
  readonly server: string | null;
  readonly risk: string | null;
}

/** What is remembered of a token's allowed uses. */
export interface AllowedUses {
  /** Marks of the latest traces. Stored compactly: if each call is its own trace, 100,000 tokens have eight each. */
  readonly traces: readonly number[];
  readonly places: UsePlaces;
}

/** The places and purposes of the uses of a token: the first node, and the latest of the rest. Equal values are interned. */
export interface UsePlaces extends Pick<Circumstances, 'address' | 'certificate'> {
  readonly connections: readonly string[];
  readonly servers: readonly string[];
  readonly risks: readonly string[];
}

/** Values remembered of each kind. The oldest is dropped first, so a forgotten value counts as another, never as the same. */
export const MAX_REMEMBERED_USES = 8;

/**
 * The classes of a use that are known before it is decided; never empty.
 *
 * @param before `null` if no use was allowed yet
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
 * Adds an allowed use. INVARIANT: the node stays that of the first use, so that a harmless use from elsewhere does not make
 * elsewhere look familiar.
 */
export function rememberedWith(before: AllowedUses | null, now: Circumstances): AllowedUses {
  return {
    traces: listWith(before?.traces ?? [], now.traceId === null ? null : markOf(now.traceId)),
    places: before === null ? firstPlaces(now) : placesWith(before.places, now),
  };
}

/** Most tokens are used from one place, over a connection that other tokens share. */
const shared = new BoundedMemo<UsePlaces>();

function firstPlaces({ address, certificate, connection, server, risk }: Circumstances): UsePlaces {
  const texts = [address, certificate, connection, server, risk];
  return shared.of(JSON.stringify(texts), () => ({
    address,
    certificate,
    connections: listWith([], connection),
    servers: listWith([], server),
    risks: listWith([], risk),
  }));
}

function placesWith(before: UsePlaces, now: Circumstances): UsePlaces {
  const connections = listWith(before.connections, now.connection);
  const servers = listWith(before.servers, now.server);
  const risks = listWith(before.risks, now.risk);
  const isKnown = connections === before.connections && servers === before.servers && risks === before.risks;
  return isKnown ? before : { address: before.address, certificate: before.certificate, connections, servers, risks };
}

/** The last 30 bits of a trace id, which are random: two traces collide once in 10^9. */
const markOf = (traceId: string): number => Number.parseInt(traceId.slice(-8), 16) & 0x3fff_ffff;

/** `concat` rather than a spread, which over-allocates. */
const listWith = <T extends string | number>(list: readonly T[], value: T | null): readonly T[] =>
  value === null || list.includes(value) ? list : list.slice(1 - MAX_REMEMBERED_USES).concat(value);

/** The most significant class of a use, for a label with a single value; `null` for an empty list. */
export const mainClass = (classes: readonly ReuseClass[]): ReuseClass | null =>
  REUSE_CLASSES.find((name) => classes.includes(name)) ?? null;
