/** A connected sidecar. */
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Down, Dropped, Hello, TaskKeyMessage, Up } from '../../../core/fleet/messages.ts';
import type { Ports } from '../../../core/runtime/ports.ts';
import { versionGap } from '../../../core/fleet/version-gap.ts';
import type { SidecarRights } from '../authorize.ts';
import type { After } from '../../../core/runtime/timers.ts';
import type { ClientLimits } from '../client-limits.ts';
import type { StreamId } from '../sidecar-stream.ts';
import { endStream } from '../stream-end.ts';

/** How long a sidecar may leave unread what it was sent. */
const STALLED_MS = 10_000;
const INSTANCE = /^[\w-]{8,64}$/;

/** A connected sidecar. */
export interface FollowingSidecar {
  readonly id: StreamId;
  readonly rights: SidecarRights;
  readonly limits: ClientLimits;
  readonly call: SidecarCall;
  /** Whether it applies orders: those of earlier releases do not. */
  readonly knowsOrders: boolean;
  /** Ends its connection. */
  readonly hangUp: () => void;
  /** Since when it has not read what it was sent; `null` if it has. */
  stalledMs: number | null;
}

/** The stream of a sidecar. */
export type SidecarCall = ServerDuplexStream<Up, Down>;

/** Names a sidecar process. The instance is unverified; the peer is verified, so no process can use the name of another identity. */
export const streamIdOf = ({ peer }: SidecarRights, instance: string): StreamId | null =>
  INSTANCE.test(instance) ? `${peer} ${instance}` : null;

/** Why a `Hello` is refused, besides its instance; `null` if it is accepted. */
export function unfitHello(
  { held, version }: Hello,
  own: string,
): { readonly code: status; readonly details: string } | null {
  // The types of the messages do not tell that a key may be absent.
  if (held.some(({ key }: { readonly key: unknown }) => key === null)) {
    return { code: status.INVALID_ARGUMENT, details: 'a held card has no key' };
  }
  const gap = versionGap(own, version);
  return gap === null ? null : { code: status.FAILED_PRECONDITION, details: gap };
}

/** Ends the connection of a sidecar that has not read for too long. */
export function hangUpStalled({ call, hangUp, stalledMs }: FollowingSidecar, monotonicMs: number): void {
  if (stalledMs === null || monotonicMs - stalledMs < STALLED_MS) return;
  endStream(call, status.RESOURCE_EXHAUSTED, 'the sidecar does not read');
  hangUp();
}

/** Ends the stream of a sidecar that asks for too much, with its connection, and gives `null`. */
export function tooMuch({ call, hangUp }: Pick<FollowingSidecar, 'call' | 'hangUp'>, details: string): null {
  endStream(call, status.RESOURCE_EXHAUSTED, details);
  setImmediate(hangUp);
  return null;
}

/** Ends a stream and gives `null`. */
export function ended(call: SidecarCall, code: status, details: string): null {
  endStream(call, code, details);
  return null;
}

/** Calls `act` once the stream has been open for `ms`; not if it ends before. */
export function onceOpenFor(
  call: SidecarCall,
  ms: number,
  { after, act }: { readonly after: After; readonly act: () => void },
): void {
  const cancel = after(ms, act);
  call.once('close', cancel);
  call.once('cancelled', cancel);
}

/** The keys of messages may be absent. */
export const droppedKeys = ({ keys }: Dropped): readonly TaskKeyMessage[] =>
  keys.flatMap((key: TaskKeyMessage | null) => key ?? []);

/** A random number, at least 0 and below 1. */
export const randomOf = ({ randomBytes }: Pick<Ports, 'randomBytes'>): number =>
  Buffer.from(randomBytes(4)).readUInt32BE() / 2 ** 32;
