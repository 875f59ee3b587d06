import { createHash } from 'node:crypto';
import { encodedRecord } from '../../../core/ledger/encoded-record.ts';
import { recordText } from '../../../core/ledger/record.ts';
import type { EventRecord } from '../../../core/ledger/record.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { causeOf } from '../../../core/task/cause.ts';
import type { StopOrder } from '../../../core/order/order.ts';
import type { Task } from '../../../core/task/task.ts';
import { waitForAll } from '../tasks/enforcement.ts';
import type { IssuerServices } from '../services.ts';
import { type Applied, applyTo, hasEffect } from './apply.ts';
import { isStopEffect } from './effects.ts';
import type { SignalEffects } from './effects.ts';
import type { SecurityEvent } from './set.ts';
import type { SignalServices } from './signal-services.ts';
import { isAboutAgent } from './subject.ts';
import { stopBySignal, stopsEnforced } from './stop.ts';
import { stopTargetsOf } from './stop-subject.ts';
import { type SignalTarget, targetPages } from './targets.ts';
import type { TakenSignal } from './under-way.ts';

/** Tasks changed concurrently, so that their transactions are group-committed. */
const BATCH = 20;

/**
 * Applies a verified signal to the open tasks it is about, once; a concurrent duplicate waits for the same result. Effects and
 * records are committed before the replay memory: after a crash in between the transmitter sends the token again, and the
 * idempotent effects are repeated.
 */
export async function takeSignal(
  signal: SecurityEvent,
  signals: SignalServices,
  services: IssuerServices,
): Promise<TakenSignal | StoreFailure> {
  const { result, isJoined } = await signals.underWay.once(memoryKeyOf(signal), () => take(signal, signals, services));
  return isStoreFailure(result) || !isJoined ? result : { ...result, isReplay: true, tasks: 0 };
}

async function take(
  signal: SecurityEvent,
  signals: SignalServices,
  services: IssuerServices,
): Promise<TakenSignal | StoreFailure> {
  const { authority } = services;
  const restoredAtMs = await authority.restoredAtMs();
  if (isStoreFailure(restoredAtMs)) return restoredAtMs;
  const applied = appliedOf(signal, signals.effects, restoredAtMs);
  // An entry that expires now stores nothing: this only tests whether the token is known, and whether there is room for it.
  const before = await authority.rememberOnce('signal', memoryKeyOf(signal), authority.floorMs());
  if (isStoreFailure(before)) return before;
  if (before === 'seen') return { kind: 'taken', isReplay: true, effect: applied.effect, tasks: 0 };
  const claimed = services.isShared === true ? await claim(signal, services) : null;
  if (claimed !== null) return claimed;
  const stops = await stopsOf(signal, applied, { signals, services });
  if (isStoreFailure(stops)) return stops;
  const changed: Task[] = [];
  // If the event names nobody who can be stopped, it revokes the tasks that it is about.
  const ofTasks =
    isStopEffect(applied.effect) && stops.length === 0 ? { ...applied, effect: 'revoke' as const } : applied;
  const tasks = stops.length === 0 && hasEffect(ofTasks) ? await applyToAll(signal, ofTasks, { services, changed }) : 0;
  if (isStoreFailure(tasks)) return tasks;
  const failure = tasks === 0 ? await record(signal, applied, { targets: [null], services }) : null;
  if (failure !== null) return failure;
  const untilSeconds = signal.issuedAtSeconds + signals.maxAgeSeconds + signals.clockSkewSeconds;
  const after = await authority.rememberOnce('signal', memoryKeyOf(signal), untilSeconds * 1_000);
  if (isStoreFailure(after)) return after;
  const isEnforced = (await waitForAll(changed, 'signal', services)) && (await stopsEnforced(stops, services));
  if (!isEnforced) return storeFailure('busy', 'it is not known that every sidecar has the effect');
  return { kind: 'taken', isReplay: false, effect: applied.effect, tasks };
}

/** The stops that a signal makes; none if it has another effect. */
async function stopsOf(
  signal: SecurityEvent,
  applied: Applied,
  { signals, services }: { readonly signals: SignalServices; readonly services: IssuerServices },
): Promise<readonly StopOrder[] | StoreFailure> {
  if (!isStopEffect(applied.effect) || !hasEffect(applied)) return [];
  const targets = await stopTargetsOf(applied.effect, signal, services);
  if (isStoreFailure(targets)) return targets;
  const stop = { key: memoryKeyOf(signal), minutes: signals.stopMinutes, applied };
  return stopBySignal(targets, stop, services);
}

/** How long a process may take a signal exclusively. */
const CLAIM_MS = 10_000;

/** Claims the signal for this process. A failure if another process is taking it: once that is done, a repeated delivery is acknowledged. */
async function claim(signal: SecurityEvent, { authority }: IssuerServices): Promise<StoreFailure | null> {
  const claimed = await authority.rememberOnce('signal-claim', memoryKeyOf(signal), authority.floorMs() + CLAIM_MS);
  if (isStoreFailure(claimed)) return claimed;
  return claimed === 'new' ? null : storeFailure('busy', 'another authority is taking this signal');
}

/** A `jti` is unique per transmitter. */
const memoryKeyOf = ({ tokenId, transmitter }: SecurityEvent): string =>
  createHash('sha256')
    .update(JSON.stringify([transmitter.issuer, tokenId]), 'utf8')
    .digest('base64url');

/**
 * INVARIANT: a restored state file has forgotten the tokens received after its backup, so a token issued before the restore may be a replay;
 * a token dated ahead may be forgotten before it is as old as others. Adverse effects may be repeated; effects that restore trust (a lower
 * risk, a favourable attestation) are not applied.
 */
function appliedOf(
  { known, subject, transmitter, uri, isAhead, issuedAtSeconds }: SecurityEvent,
  effects: SignalEffects,
  restoredAtMs: number | null,
): Applied {
  const meaning = known?.meaning ?? { isAdverse: false, risk: null, attests: {} };
  const mayBeReplay = isAhead || (restoredAtMs !== null && issuedAtSeconds * 1_000 <= restoredAtMs);
  const effect = known === null ? 'ignore' : effects[known.type.name];
  return {
    effect: mayBeReplay && effect === 'attest' && !meaning.isAdverse ? 'ignore' : effect,
    meaning,
    mayLower: !mayBeReplay,
    cause: {
      ...(known === null ? causeOf('signal.unknown', `signal ${uri}`) : causeOf(`signal.${known.type.name}`)),
      ...(isAboutAgent(subject) ? {} : { reach: 'subject' as const }),
    },
    by: transmitter.issuer,
  };
}

/** Applies the signal; returns the number of tasks it is about, and adds them to `changed`. */
async function applyToAll(
  signal: SecurityEvent,
  applied: Applied,
  { services, changed }: { readonly services: IssuerServices; readonly changed: Task[] },
): Promise<number | StoreFailure> {
  const parties = { issuer: services.settings.url, transmitter: signal.transmitter };
  let count = 0;
  for await (const page of targetPages(signal.subject, services.authority, parties)) {
    if (isStoreFailure(page)) return page;
    for (let start = 0; start < page.length; start += BATCH) {
      const targets = page.slice(start, start + BATCH);
      const failure = await applyTogether(signal, applied, { targets, services });
      if (failure !== null) return failure;
      count += targets.length;
      // No receipts are needed if no sidecars are served.
      if (services.enforcement !== undefined) changed.push(...targets.map(({ task }) => task));
      await services.nextTurn();
    }
    await services.nextTurn();
  }
  return count;
}

interface Batch<T> {
  readonly targets: readonly T[];
  readonly services: IssuerServices;
}

async function applyTogether(
  signal: SecurityEvent,
  applied: Applied,
  batch: Batch<SignalTarget>,
): Promise<StoreFailure | null> {
  const failure = await record(signal, applied, batch);
  if (failure !== null) return failure;
  const problems = await Promise.all(batch.targets.map((target) => applyTo(target, applied, batch.services)));
  return problems.find((problem) => problem !== null) ?? null;
}

/** Records the signal for each task, or once without a task (`null`). Its effects have their own records. */
async function record(
  signal: SecurityEvent,
  applied: Applied,
  { targets, services }: Batch<SignalTarget | null>,
): Promise<StoreFailure | null> {
  const at = services.authority.nowMs();
  const records = targets.map((target) => {
    const encoded = encodedRecord(recordOf(signal, applied, { at, task: target?.task.id ?? null }));
    if ('problem' in encoded) throw new Error(`a signal has no record: ${encoded.problem}`);
    return encoded;
  });
  return services.authority.appendRecords(records);
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
