import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { base64Of } from '../../core/ledger/proof/base64.ts';
import { openedCheckpoint } from '../../core/ledger/proof/checkpoint.ts';
import { appendedAll, emptyRange, keptRange } from '../../core/ledger/proof/compact-range.ts';
import type { CompactRange } from '../../core/ledger/proof/compact-range.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import { isSameHash, leafHash, rootOf } from '../../core/ledger/proof/merkle.ts';
import { noteKeyFrom } from '../../core/ledger/proof/note-key.ts';
import type { NoteKey } from '../../core/ledger/proof/note-key.ts';
import { isPlainLeaf } from '../../core/ledger/proof/plain-leaf.ts';
import { base64OrNothing } from '../../core/ledger/proof/seam.ts';

/** The writer of a log: its key and its identity, bound to its origin when its first records are received. */
export interface EmitterName {
  /** `remit.<trust domain>/<name>/<epoch>`. */
  readonly origin: string;
  /** Verifies its checkpoints; the origin is its name. */
  readonly key: NoteKey;
  /** SPIFFE ID by which it authenticated, or `unix`. */
  readonly id: string;
}

/** The log of another process, as far as its records were received. */
export interface Emitter extends EmitterName {
  /** The tree over the received records. */
  readonly range: CompactRange;
  /** Leaf hash of the last of them; `null` before the first. */
  readonly prev: Uint8Array | null;
  /** Number of records under its last checkpoint; 0 before the first. */
  readonly signed: number;
}

/** A part of a log, as its emitter sends it. */
export interface LogPart {
  /** Number of records before it. */
  readonly from: number;
  readonly leaves: readonly Uint8Array[];
  /** A checkpoint of all records up to the end of the part; empty for none. */
  readonly checkpoint: string;
}

/** A sidecar, as the transport has authenticated it. */
export interface EmitterPeer {
  /** Its SPIFFE ID, or `unix` if the permissions of a Unix socket admit it. */
  readonly id: string;
  /** The trust domain that its log must name. */
  readonly trustDomain: string;
}

/**
 * The name of an emitter, from its claim and its verified identity.
 *
 * @param said.verifierKey `name+id+base64`
 */
export function emitterNameFrom(
  said: { readonly origin: string; readonly verifierKey: string },
  { id, trustDomain }: EmitterPeer,
): EmitterName | Problem {
  const problem = originProblem(said.origin, trustDomain);
  if (problem !== null) return { problem };
  const key = noteKeyFrom(said.verifierKey);
  if (isProblem(key)) return { problem: `the verifier key of \`${said.origin}\` ${key.problem}` };
  return key.name === said.origin
    ? { origin: said.origin, key, id }
    : { problem: `the verifier key of \`${said.origin}\` is named \`${key.name}\`` };
}

/** Why an origin cannot be that of a log in a trust domain; `null` if it can. */
export function originProblem(origin: string, trustDomain: string): string | null {
  const [prefix, name, epoch, ...others] = origin.split('/');
  const isOrigin = others.length === 0 && name !== undefined && NAME.test(name) && EPOCH.test(epoch ?? '');
  if (!isOrigin) return 'the origin of a log must be `remit.<trust domain>/<name>/<epoch>`';
  return prefix === `remit.${trustDomain}`
    ? null
    : `the log \`${origin}\` is not of the trust domain \`${trustDomain}\``;
}

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const EPOCH = /^[0-9a-f]{32}$/;

/** An emitter of which nothing was received yet. */
export const newEmitter = (name: EmitterName): Emitter => ({ ...name, range: emptyRange, prev: null, signed: 0 });

/**
 * Why a stream does not continue the log of a known emitter: another key or identity, or fewer records than were received. `null` if it
 * continues it.
 *
 * @param size number of records of the log according to the stream
 */
export function streamProblem(emitter: Emitter, name: EmitterName, size: number): string | null {
  const { origin } = emitter;
  if (name.id !== emitter.id) return `the log \`${origin}\` belongs to \`${emitter.id}\``;
  if (!name.key.publicKey.equals(emitter.key.publicKey)) return `the log \`${origin}\` has another verifier key`;
  return size < emitter.range.size
    ? `the log \`${origin}\` shrank: it has ${size} records, but ${emitter.range.size} were received`
    : null;
}

/**
 * The emitter after a part of its log: every record is intact, in place and linked to its predecessor, and a checkpoint is signed by
 * its key over exactly the received records. A problem leaves the emitter as it was.
 */
export function received(emitter: Emitter, { from, leaves, checkpoint }: LogPart): Emitter | Problem {
  const { origin } = emitter;
  if (from !== emitter.range.size) {
    return { problem: `\`${origin}\` sent records from ${from + 1} on, expected record ${emitter.range.size + 1}` };
  }
  const hashes: Uint8Array[] = [];
  let { prev } = emitter;
  for (const [index, bytes] of leaves.entries()) {
    const place = { prev: base64OrNothing(prev), seq: from + index + 1 };
    const problem = isPlainLeaf(bytes, place) ? null : leafProblem(bytes, place, origin);
    if (problem !== null) return { problem };
    prev = leafHash(bytes);
    hashes.push(prev);
  }
  const range = keptRange(appendedAll(emitter.range, hashes));
  if (checkpoint === '') return { ...emitter, range, prev };
  const head = openedCheckpoint(checkpoint, emitter.key);
  if (isProblem(head)) return { problem: `a checkpoint of \`${origin}\` ${head.problem}` };
  if (head.size !== range.size) {
    return { problem: `a checkpoint of \`${origin}\` covers ${head.size} records, expected ${range.size}` };
  }
  return isSameHash(head.root, rootOf(range.nodes))
    ? { ...emitter, range, prev, signed: head.size }
    : { problem: `\`${origin}\` forked: its checkpoint of ${head.size} records is not over those received` };
}

/** Why bytes are not the record of a log at a place; `null` if they are. */
function leafProblem(
  bytes: Uint8Array,
  { prev, seq }: { readonly prev: string; readonly seq: number },
  origin: string,
): string | null {
  const leaf = leafFrom(bytes);
  if (isProblem(leaf)) return `record ${seq} of \`${origin}\` ${leaf.problem}`;
  if (leaf.seq !== seq) return `record ${seq} of \`${origin}\` has the number ${leaf.seq}`;
  return leaf.prev === prev ? null : `\`${origin}\` forked: record ${seq} does not follow from the record before it`;
}

/** Root of the tree over the received records, in base64. */
export const receivedRoot = ({ range }: Emitter): string => base64Of(rootOf(range.nodes));
