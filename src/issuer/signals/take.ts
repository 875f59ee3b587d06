import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { encodedRecord } from '../../ledger/encoded-record.ts';
import { recordText } from '../../ledger/record.ts';
import type { EventRecord } from '../../ledger/record.ts';
import { isStoreFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import { causeOf } from '../../task/cause.ts';
import type { IssuerServices } from '../services.ts';
import { type Applied, applyTo, hasEffect } from './apply.ts';
import type { SignalEffects } from './effects.ts';
import type { SecurityEvent } from './set.ts';
import type { SignalServices } from './signal-services.ts';
import { type SignalTarget, targetPages } from './targets.ts';

/** A signal that was taken. */
export interface TakenSignal {
  readonly kind: 'taken';
  /** Whether it was taken before: then nothing was done. */
  readonly isReplay: boolean;
  readonly effect: Applied['effect'];
  /** How many open tasks it was about. */
  readonly tasks: number;
}

/** Tasks changed before others have their turn: each is a transaction. */
const TURN = 20;

/**
 * Applies the effect of a verified signal to the open tasks it is about, once. Effects and records come before the memory of
 * the token: whoever dies between them is sent the token again, and effects may be repeated.
 */
export async function takeSignal(
  signal: SecurityEvent,
  signals: SignalServices,
  services: IssuerServices,
): Promise<TakenSignal | StoreFailure> {
  const { store } = services;
  const restoredAtMs = store.restoredAtMs();
  if (isStoreFailure(restoredAtMs)) return restoredAtMs;
  const applied = appliedOf(signal, signals.effects, restoredAtMs);
  // Until this very moment is not at all: this asks whether the token is remembered, and whether there is room for it.
  const before = store.rememberOnce('signal', memoryKeyOf(signal), store.floorMs());
  if (isStoreFailure(before)) return before;
  if (before === 'seen') return { kind: 'taken', isReplay: true, effect: applied.effect, tasks: 0 };
  const tasks = hasEffect(applied) ? await applyToAll(signal, applied, services) : 0;
  if (isStoreFailure(tasks)) return tasks;
  const failure = tasks === 0 ? record(signal, applied, { targets: [null], services }) : null;
  if (failure !== null) return failure;
  const untilSeconds = signal.issuedAtSeconds + signals.maxAgeSeconds + signals.clockSkewSeconds;
  const after = store.rememberOnce('signal', memoryKeyOf(signal), untilSeconds * 1_000);
  return isStoreFailure(after) ? after : { kind: 'taken', isReplay: false, effect: applied.effect, tasks };
}

/** `jti` is unique for its transmitter alone. */
const memoryKeyOf = ({ tokenId, transmitter }: SecurityEvent): string =>
  createHash('sha256')
    .update(JSON.stringify([transmitter.issuer, tokenId]), 'utf8')
    .digest('base64url');

/**
 * INVARIANT: a restored state file does not remember which tokens were used after its backup. What is from before the restore and takes
 * something away may be done again; what gives something back, a risk that is lower again or a good attestation, may be a replay.
 */
function appliedOf(
  { known, transmitter, uri, issuedAtSeconds }: SecurityEvent,
  effects: SignalEffects,
  restoredAtMs: number | null,
): Applied {
  const meaning = known?.meaning ?? { isAdverse: false, risk: null, attests: {} };
  const mayBeReplay = restoredAtMs !== null && issuedAtSeconds * 1_000 <= restoredAtMs;
  const effect = known === null ? 'ignore' : effects[known.type.name];
  return {
    effect: mayBeReplay && effect === 'attest' && !meaning.isAdverse ? 'ignore' : effect,
    meaning,
    mayLower: !mayBeReplay,
    cause: known === null ? causeOf('signal.unknown', `signal ${uri}`) : causeOf(`signal.${known.type.name}`),
    by: transmitter.issuer,
  };
}

/** How many tasks the signal is about. */
async function applyToAll(
  signal: SecurityEvent,
  applied: Applied,
  services: IssuerServices,
): Promise<number | StoreFailure> {
  const parties = { issuer: services.settings.url, transmitter: signal.transmitter };
  let count = 0;
  for (const page of targetPages(signal.subject, services.store, parties)) {
    if (isStoreFailure(page)) return page;
    for (let start = 0; start < page.length; start += TURN) {
      const targets = page.slice(start, start + TURN);
      const failure = applyInTurn(signal, applied, { targets, services });
      if (failure !== null) return failure;
      count += targets.length;
      await setImmediate();
    }
    await setImmediate();
  }
  return count;
}

interface Turn<T> {
  readonly targets: readonly T[];
  readonly services: IssuerServices;
}

function applyInTurn(signal: SecurityEvent, applied: Applied, turn: Turn<SignalTarget>): StoreFailure | null {
  const failure = record(signal, applied, turn);
  if (failure !== null) return failure;
  for (const target of turn.targets) {
    const problem = applyTo(target, applied, turn.services);
    if (problem !== null) return problem;
  }
  return null;
}

/** Records the signal in the timeline of each task; `null` is none. What it then did has records of its own. */
function record(
  signal: SecurityEvent,
  applied: Applied,
  { targets, services }: Turn<SignalTarget | null>,
): StoreFailure | null {
  const at = services.store.nowMs();
  const records = targets.map((target) => {
    const encoded = encodedRecord(recordOf(signal, applied, { at, task: target?.task.id ?? null }));
    if ('problem' in encoded) throw new Error(`a signal has no record: ${encoded.problem}`);
    return encoded;
  });
  return services.store.appendRecords(records);
}

const recordOf = (
  { subject, tokenId, uri }: SecurityEvent,
  applied: Applied,
  { at, task }: { readonly at: number; readonly task: string | null },
): EventRecord => ({
  kind: 'event',
  at,
  task,
  event: 'signal',
  cause: applied.cause.code,
  note: recordText(applied.cause.note),
  by: recordText(applied.by),
  details: {
    type: uri,
    jti: tokenId,
    subject_format: subject.format,
    effect: hasEffect(applied) ? applied.effect : 'ignore',
  },
});
